"""What Postfix gets under an exception."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.mtasts import Policy, parse_domain, parse_policy
from policies.socketmap.exceptions import Refused, Rule, apply, check, may_allow
from policies.socketmap.exceptions.rule import Action, Level
from policies.socketmap.reply import INVALID_POLICY, MAX_REPLY, required
from tests.socketmap.exceptions.making import pin, require, rule
from tests.socketmap.postfix_rules import Entry, Kind, Postfix, read_reply
from tests.worlds import ENFORCE, NONE, TESTING

NAME = parse_domain("example.org")
OTHER = ENFORCE.replace("mx.example.org", "*.pinned.example")
FROM_TESTING = b"OK secure match=.example.org servername=hostname"
ATTRIBUTES = b" policy_type=sts policy_domain=example.org"


def told(made: Rule, text: str | None, *, tlsrpt: bool = False) -> bytes | None:
    policy = parse_policy(text) if text else None
    return apply(check(made), policy, NAME, tlsrpt=tlsrpt, policy_text=text or "")


@pytest.mark.parametrize("text", [ENFORCE, TESTING, NONE, None])
def test_skip_is_as_if_there_were_no_policy(text: str | None) -> None:
    assert told(rule(), text) == b"NOTFOUND "
    assert told(rule(), text, tlsrpt=True) == b"NOTFOUND "


def test_enforce_is_for_policies_that_test() -> None:
    made = rule(Action.ENFORCE)
    assert told(made, TESTING) == FROM_TESTING
    assert [told(made, text) for text in (ENFORCE, NONE, None)] == [None, None, None]


def test_an_enforced_policy_is_reported_as_published() -> None:
    assert told(rule(Action.ENFORCE), TESTING, tlsrpt=True) == (
        FROM_TESTING + ATTRIBUTES + b" mx_host_pattern=*.example.org"
        b" { policy_string = version: STSv1 } { policy_string = mode: testing }"
        b" { policy_string = mx: *.example.org } { policy_string = max_age: 86400 }"
    )


@pytest.mark.parametrize("text", [ENFORCE, TESTING, NONE, None])
def test_a_pin_holds_whatever_is_published(text: str | None) -> None:
    secure = b"OK secure match=.pinned.example servername=hostname"
    assert told(pin(OTHER), text) == secure
    assert told(pin(OTHER), text, tlsrpt=True) == (
        secure + ATTRIBUTES + b" mx_host_pattern=*.pinned.example"
    )


@pytest.mark.parametrize("text", [TESTING, NONE, None])
def test_a_requirement_is_for_domains_that_nothing_enforces(text: str | None) -> None:
    for tlsrpt in (False, True):
        assert told(require(), text, tlsrpt=tlsrpt) == b"OK encrypt"
        assert told(require("mx.example.org", ".example.net", "nexthop"), text, tlsrpt=tlsrpt) == (
            b"OK secure match=mx.example.org:.example.net:nexthop servername=hostname"
        )


def test_a_requirement_never_weakens_a_policy_that_enforces() -> None:
    assert told(require(), ENFORCE) is None


def test_dane_is_asked_before_whatever_may_be_an_ok() -> None:
    testing = parse_policy(TESTING)
    assert not may_allow(rule(), testing)
    assert may_allow(rule(Action.ENFORCE), testing)
    assert not may_allow(rule(Action.ENFORCE), None)
    assert may_allow(check(pin()), None)
    assert may_allow(require(), None)


WORDS = st.one_of(
    st.sampled_from(["mx.example", ".example", "nexthop", "hostname", "192.0.2.1", "a b", "a:b",
                     "{", "}", "match=x", "", ".", "a,b", "\0", "\n", "ü.example", "\ud800"]),
    st.text(max_size=20),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["encrypt", "secure", "none", "may"]), st.lists(WORDS, max_size=4))
def test_a_requirement_past_all_checks_adds_nothing_to_postfix(
    level: str, match: list[str]
) -> None:
    payload = required(level, match)
    assert len(payload) <= MAX_REPLY
    if payload == INVALID_POLICY:
        return
    for version in Postfix:
        entry = read_reply(payload, version)
        assert isinstance(entry, Entry)
        if entry.level == b"encrypt":
            assert entry == Entry(b"encrypt")
            continue
        assert entry.level == b"secure"
        assert entry.single == ((b"servername", b"hostname"),)
        assert len(entry.match) == len(dict.fromkeys(match))
        assert all(each.kind is not Kind.ADDRESS for each in entry.match)
        assert all(each.name != b"hostname" for each in entry.match if each.kind is Kind.WORD)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(Action)),
    st.one_of(st.sampled_from([ENFORCE, OTHER, TESTING]), st.text(max_size=60)),
    st.sampled_from(list(Level)),
    st.lists(WORDS, max_size=3).map(tuple),
    st.sampled_from([ENFORCE, TESTING, NONE, None]),
    st.booleans(),
)
def test_every_reply_under_an_exception_that_may_be_is_one_that_postfix_takes(
    action: Action,
    text: str,
    level: Level,
    match: tuple[str, ...],
    published: str | None,
    tlsrpt: bool,
) -> None:
    made = rule(action, policy_text=text, level=level, match=match)
    try:
        made = check(made)
    except Refused:
        return
    policy: Policy | None = parse_policy(published) if published else None
    payload = apply(made, policy, NAME, tlsrpt=tlsrpt, policy_text=published or "")
    if payload is None or action is Action.SKIP:
        return
    versions = [Postfix.V3_10] if tlsrpt else list(Postfix)
    for version in versions:
        assert isinstance(read_reply(payload, version), Entry), payload
    assert (payload.startswith(b"OK ")) == may_allow(made, policy)
