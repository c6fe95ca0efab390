"""Exceptions and Postfix's own tables: what each can say of the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from policies.socketmap.exceptions import Action, Level, Powers, Rule, Scope, check
from policies.socketmap.exceptions.tables import LINES_LIMIT, Line, read, write
from tests.socketmap.exceptions.making import by_mx, everything, pin, require, rule, suffix
from tests.socketmap.postfix_rules import Entry, Postfix, read_entry
from tests.worlds import NOON

LIKE = rule(reason="from the old table")


def lines(text: str) -> list[Line]:
    return read(text, LIKE, Powers())


def the_rule(text: str) -> Rule:
    [line] = lines(text)
    assert line.rule is not None, line.problem
    return line.rule


@pytest.mark.parametrize(
    ("entry", "scope", "target", "action", "level", "match"),
    [
        ("example.org may", Scope.DOMAIN, "example.org", Action.SKIP, None, ()),
        (".Example.ORG\tMAY", Scope.SUFFIX, ".example.org", Action.SKIP, None, ()),
        ("a.test encrypt", Scope.DOMAIN, "a.test", Action.REQUIRE, Level.ENCRYPT, ()),
        (
            "a.test secure match=mx.a.test:.b.test,match=nexthop servername=hostname",
            Scope.DOMAIN, "a.test", Action.REQUIRE, Level.SECURE,
            ("mx.a.test", ".b.test", "nexthop"),
        ),
        (
            "xn--bcher-kva.test secure", Scope.DOMAIN, "bücher.test", Action.REQUIRE, Level.SECURE,
            ("nexthop", "dot-nexthop"),
        ),
    ],
)  # fmt: skip
def test_what_an_exception_can_say_is_read(
    entry: str, scope: Scope, target: str, action: Action, level: Level | None, match: tuple[str]
) -> None:
    assert the_rule(entry) == replace(
        LIKE, scope=scope, target=target, action=action, level=level, match=match
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("a.test none", "switches TLS off"),
        ("a.test dane", "MTASTS_DANE_DOMAINS"),
        ("a.test dane-only", "MTASTS_DANE_DOMAINS"),
        ("a.test fingerprint match=AA:BB", "fingerprints"),
        ("a.test verify", "others can forge"),
        ("a.test secure match=hostname", "others on the way can forge"),
        ("a.test secure match=192.0.2.1", "IP address"),
        ("a.test secure match=", "'match='"),
        ("a.test encrypt ciphers=high", "'ciphers=high'"),
        ("a.test secure servername=other.test", "'servername=other.test'"),
        ("a.test secure protocols=>=TLSv1.3", "protocols"),
        ("a.test encrypt match=a.test", "no meaning"),
        ("a.test secure { policy_string = x }", "braces"),
        ("a.test very-secure", "'very-secure'"),
        ("a.test", "no level"),
        ("[mx.a.test]:587 encrypt", "brackets"),
        ("a.test:submission encrypt", "every port"),
        ("192.0.2.1 encrypt", "IP address"),
        ("a_b.test may", "underscore"),
        (f"a.test secure match={'a' * 11_000}", "characters"),
    ],
)
def test_what_it_cannot_say_is_refused_with_the_reason(entry: str, said: str) -> None:
    [line] = lines(entry)
    assert line.rule is None
    assert said in line.problem


def test_comments_empty_lines_and_long_entries_are_as_in_postfix() -> None:
    text = (
        "# a table\n\na.test\r\n  secure\n# between\n\tmatch=mx.a.test\n\n   # more\nb.test may\n"
    )
    found = lines(text)
    assert [line.number for line in found] == [3, 9]
    assert [line.text for line in found] == ["a.test secure match=mx.a.test", "b.test may"]
    assert all(line.rule for line in found)


def test_of_two_entries_for_one_target_the_second_is_refused() -> None:
    first, second = lines("a.test may\nA.Test encrypt\n")
    assert first.rule
    assert "line 1" in second.problem


def test_a_table_without_end_is_read_up_to_a_limit() -> None:
    found = lines("".join(f"d{number}.test may\n" for number in range(LINES_LIMIT + 50)))
    assert len(found) == LINES_LIMIT + 1
    assert "more than" in found[-1].problem


def test_what_is_written_is_read_again_and_taken_by_postfix() -> None:
    made = [
        check(each)
        for each in (
            rule(), suffix(".bücher.example"), require(target="r.test"),
            require("mx.r.test", ".s.test", target="s.test"),
            by_mx("*.mail.test"), everything(), rule(Action.ENFORCE, target="e.test"),
            rule(target="coming.test", since=NOON + timedelta(hours=1)),
        )
    ]  # fmt: skip
    text = "".join(write(made, NOON))
    back = {line.rule.target: line.rule for line in lines(text) if line.rule}
    assert all(line.rule for line in lines(text))
    said = [each for each in made if each.target in back]
    assert {each.target for each in said} == {
        "example.org", ".bücher.example", "r.test", "s.test"
    }  # fmt: skip
    for each in said:
        assert back[each.target] == replace(each, reason=LIKE.reason)
    for line in lines(text):
        entry = read_entry(line.text.partition(" ")[2].encode(), Postfix.V3_7)
        assert isinstance(entry, Entry), line
    for what in ("skip *.mail.test", "skip everything", "enforce e.test", "skip coming.test"):
        assert f"# {what} " in text


def test_a_pin_is_written_as_what_postfix_gets() -> None:
    text = "".join(write([check(pin())], NOON))
    assert "\nexample.org secure match=mx.example.org servername=hostname\n" in text


def test_a_reason_stays_in_its_comment() -> None:
    made = check(rule(reason="first\nevil.test may\n", owner="a\rb"))
    assert [line.text for line in lines("".join(write([made], NOON)))] == ["example.org may"]
