"""Which exceptions may be, and in which form they are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policies.socketmap.exceptions import Action, Level, Powers, Refused, Rule, Scope, check
from tests.socketmap.exceptions.making import by_mx, everything, pin, require, rule, suffix
from tests.worlds import ENFORCE, NONE, NOON, TESTING

OPERATOR = Powers()


def problems(wrong: Rule, powers: Powers = OPERATOR) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        check(wrong, powers)
    return refused.value.problems


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (rule(target=" Example.ORG. "), "example.org"),
        (rule(target="xn--bcher-kva.example"), "bücher.example"),
        (suffix(".Example.ORG"), ".example.org"),
        (suffix(".xn--bcher-kva.example"), ".bücher.example"),
        (by_mx("*.Protection.Example"), "*.protection.example"),
        (by_mx(".protection.example"), "*.protection.example"),
        (by_mx("MX.bücher.example"), "mx.xn--bcher-kva.example"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.target,
)
def test_a_target_is_kept_in_one_form(given: Rule, kept: str) -> None:
    assert check(given, OPERATOR).target == kept
    assert check(check(given, OPERATOR), OPERATOR) == check(given, OPERATOR)


@pytest.mark.parametrize(
    "wrong",
    [
        rule(target=""),
        rule(target="192.0.2.1"),
        rule(target=".example.org"),
        rule(target="[mx.example.org]"),
        rule(target="example.org:25"),
        suffix("example.org"),
        suffix("."),
        suffix("*.example.org"),
        by_mx("*"),
        by_mx("*."),
        by_mx("a.*.example"),
        by_mx(""),
        everything(),
    ],
    ids=lambda value: f"{value.scope} {value.target!r}",
)
def test_what_is_no_target_of_its_scope_is_refused(wrong: Rule) -> None:
    if wrong.scope is Scope.EVERYTHING:
        wrong = rule(target="x", scope=Scope.EVERYTHING)
    assert "target" in problems(wrong, Powers(pause=True, endless=True))


@pytest.mark.parametrize("action", [Action.PIN, Action.REQUIRE])
def test_an_mx_pattern_can_only_skip_and_enforce(action: Action) -> None:
    assert "finds policies that there are" in problems(by_mx("*.example", action))["action"]


@pytest.mark.parametrize("action", [Action.ENFORCE, Action.PIN, Action.REQUIRE])
def test_everything_can_only_be_paused(action: Action) -> None:
    wrong = rule(action, "", Scope.EVERYTHING, until=NOON + timedelta(hours=1))
    assert "action" in problems(wrong, Powers(pause=True))


def test_a_pin_is_kept_with_its_text_and_parsed() -> None:
    pinned = check(pin(ENFORCE.replace("\n", "\r\n"), level=Level.SECURE, match=("a.example",)))
    assert pinned.policy_text == ENFORCE
    assert pinned.policy is not None
    assert pinned.policy.mx == ["mx.example.org"]
    assert (pinned.level, pinned.match) == (None, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("version: STSv1\nmode: enforc\n", "line 2"),
        (TESTING, "mode: testing"),
        (NONE, "mode: none"),
        (ENFORCE.replace("mx.example.org", "192.0.2.1"), "no usable MX"),
        (ENFORCE.replace("mx.example.org", "hostname"), "no usable MX"),
        (ENFORCE + "x: " + "y" * 70_000 + "\n", "65536 bytes"),
        (ENFORCE + "x: \ud800\n", "UTF-8"),
    ],
)
def test_a_text_that_cannot_be_pinned_is_refused(text: str, said: str) -> None:
    assert said in problems(pin(text))["policy_text"]


def test_a_requirement_is_kept_with_names_in_one_form() -> None:
    typed = ("MX.Example.ORG", ".example.net", "*.example.com", "bücher.example", "Nexthop",
             "dot-nexthop", "mx.example.org")  # fmt: skip
    assert check(require(*typed)).match == (
        "mx.example.org", ".example.net", ".example.com", "xn--bcher-kva.example", "nexthop",
        "dot-nexthop",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["hostname", "HOSTNAME", "192.0.2.1", "a b", "a,b", "a}", "{", "a:b", "", ".", "*", "a..b",
     "x servername=evil", "\0", "a\nb", "0x7f"],
)  # fmt: skip
def test_a_name_that_postfix_must_not_match_is_refused(name: str) -> None:
    assert "match" in problems(require("mx.example.org", name))


def test_a_requirement_needs_what_belongs_to_its_level() -> None:
    assert "level" in problems(rule(Action.REQUIRE))
    assert "match" in problems(rule(Action.REQUIRE, level=Level.SECURE))
    assert "match" in problems(rule(Action.REQUIRE, level=Level.ENCRYPT, match=("a.example",)))
    assert "match" in problems(require(*(f"mx{number}.example" for number in range(101))))


@pytest.mark.parametrize("reason", ["", "   ", "\n\t", "\0", "x" * 501])
def test_a_reason_is_needed(reason: str) -> None:
    assert "reason" in problems(rule(reason=reason))


def test_reason_and_owner_are_kept_on_one_line() -> None:
    kept = check(rule(reason=" it is\nbroken \ud800", owner="\u202esome body"))
    assert (kept.reason, kept.owner) == ("it is broken", "some body")


def test_an_end_is_needed_but_for_who_may_leave_it_out() -> None:
    assert "administrator" in problems(rule(until=None))["until"]
    assert check(rule(until=None), Powers(endless=True)).until is None
    assert "until" in problems(rule(until=NOON + timedelta(days=367)))
    assert check(rule(until=NOON + timedelta(days=367)), Powers(endless=True))
    assert "until" in problems(rule(until=NOON))


def test_a_pause_is_for_who_may_and_ends_within_a_day() -> None:
    may = Powers(endless=True, pause=True)
    assert check(everything(24), may).target == ""
    assert "scope" in problems(everything(1), Powers(endless=True))
    assert "until" in problems(everything(24.01), may)
    assert "until" in problems(rule(target="", scope=Scope.EVERYTHING, until=None), may)
    assert "until" in problems(everything(0), may)


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = rule(Action.PIN, target="no name", policy_text="x", reason="", owner="", until=NOON)
    assert set(problems(wrong)) == {"target", "policy_text", "reason", "owner", "until"}
