"""No policy whatever makes Postfix read more, less or other than the policy says."""

import re

import pytest

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.mtasts.domain import Domain, parse_domain
from policies.mtasts.errors import PolicySyntaxError
from policies.mtasts.mx import MXPattern
from policies.mtasts.policy import Mode, Policy, parse_policy
from policies.socketmap.reply import (
    INVALID_POLICY,
    MAX_REPLY,
    NO_USABLE_MX,
    NOT_FOUND,
    POLICY_TOO_LARGE,
    reply,
)
from policies.socketmap.request import Query, parse_request
from tests.socketmap.postfix_rules import (
    MATCH_WORDS,
    Deferred,
    Entry,
    Kind,
    Match,
    NotFound,
    Postfix,
    is_hostname,
    read_reply,
)

fuzz = settings(max_examples=200, deadline=None, database=None)

PIECES = [
    *("mail.example", "a", "xn--", "hostname", "nexthop", "dot-nexthop", "192.0.2.1", "0x7f", "1"),
    *(" ", "  ", "\t", ",", ":", ";", "=", "{", "}", "*", ".", "-", "_", "\\", '"', "#"),
    *("\n", "\r", "\r\n", "\0", "\v", "\f", "\x1b", "\x7f", "\x85", "\u2028", "ü", "\ud800", "。"),
    *("match=", "servername=", "policy_type=sts", "policy_failure=sts-policy-invalid"),
    *(" { policy_string = ", "} secure ", "mx: ", "mode: none", "tafile=/etc/passwd", "OK none "),
]
HOSTILE = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(max_size=20)
)
LIKE_AN_ADDRESS = re.compile(rb"(?:\A|\.)(?:[0-9]+|0x[0-9a-f]*)\Z")
LABELS = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
HOSTS = st.one_of(
    st.lists(LABELS, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["192.0.2.1", "1", "hostname", "NEXTHOP", "dot-nexthop", "mail.example.com"]),
)
MX = st.one_of(HOSTS, HOSTS.map("*.{}".format))
ENDS = st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"])
LEGAL = HOSTILE.map(lambda text: "x" + re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "", text))
FIELDS = st.one_of(
    MX.map("mx: {}".format),
    MX.map("mx:\t{} ".format),
    st.tuples(LABELS, LEGAL).map(": ".join),
    st.sampled_from(["max_age: 1", "mode: enforce", "version: STSv1", "x: {", "x: }"]),
)
BEGINNING = "version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 9\n"
TEXTS = st.lists(st.tuples(FIELDS, ENDS).map("".join), max_size=8).map(
    lambda lines: BEGINNING + "".join(lines)
)
DOMAINS = st.one_of(
    st.just(parse_domain("bücher.example")),
    HOSTS.map(str.lower).map(lambda name: Domain(name, name)),
    HOSTILE.map(lambda name: Domain(name, name)),
)
POLICIES = st.builds(
    Policy,
    version=HOSTILE,
    mode=st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.TESTING, Mode.NONE]),
    mx=st.one_of(
        st.lists(MX.map(str.lower).map(MXPattern), max_size=5),
        st.lists(st.one_of(MX.map(str.lower), HOSTILE).map(MXPattern), max_size=3),
    ),
    max_age=st.integers(),
    extensions=st.lists(st.tuples(HOSTILE, HOSTILE), max_size=2),
)


def intended_match(policy: Policy) -> tuple[Match, ...]:
    """What the certificate has to be checked against, reckoned from the policy alone."""
    names = [pattern.encode() for pattern in dict.fromkeys(map(str, policy.mx))]
    return tuple(
        Match(Kind.SUBDOMAINS, name[2:]) if name.startswith(b"*.") else Match(Kind.NAME, name)
        for name in names
        if name not in MATCH_WORDS and not LIKE_AN_ADDRESS.search(name)
    )


def is_domain(name: str) -> bool:
    written = name.encode("utf-8", "replace")
    return is_lower_ldh(name) and is_hostname(written) and not LIKE_AN_ADDRESS.search(written)


def is_pattern(pattern: str) -> bool:
    """Within the grammar of mx, which has room for a name shaped like an IP address."""
    name = pattern.removeprefix("*.")
    digits = re.fullmatch(r"[0-9]{1,63}(\.[0-9]{1,63})*", name)
    return is_lower_ldh(name) and (is_hostname(name.encode()) or bool(digits))


def is_lower_ldh(name: str) -> bool:
    return name.isascii() and name == name.lower() and "_" not in name


def check(policy: Policy, domain: Domain, text: str, *, edited: bool) -> None:
    for tlsrpt in (False, True):
        payload = reply(policy, domain, tlsrpt=tlsrpt, policy_text=text, edited=edited)
        assert payload == reply(policy, domain, tlsrpt=tlsrpt, policy_text=text, edited=edited)
        assert len(payload) <= MAX_REPLY
        attributes = tlsrpt and not edited
        versions = [Postfix.V3_10] if attributes else [Postfix.V3_7, Postfix.V3_10]
        for version in versions:
            outcome = read_reply(payload, version)
            if policy.mode is not Mode.ENFORCE:
                assert payload == NOT_FOUND
                assert outcome == NotFound()
            elif isinstance(outcome, Entry):
                check_entry(outcome, policy, domain, text, attributes=attributes)
            else:
                check_refusal(outcome, payload, policy, domain, attributes=attributes)


def check_entry(
    entry: Entry, policy: Policy, domain: Domain, text: str, *, attributes: bool
) -> None:
    assert all(map(is_pattern, policy.mx))
    assert entry.level == b"secure"
    assert entry.match == intended_match(policy) != ()
    single = ((b"servername", b"hostname"),)
    if not attributes:
        assert entry == Entry(b"secure", entry.match, single=single)
        return
    assert entry.single == (
        *single,
        (b"policy_type", b"sts"),
        (b"policy_domain", domain.ascii.encode()),
    )
    assert [pattern.removeprefix(b"*.") for pattern in entry.mx_host_patterns] == [
        match.name for match in entry.match
    ]
    served = iter(line.strip(b" \t\r") for line in text.encode("utf-8", "replace").split(b"\n"))
    assert all(line in served for line in entry.policy_strings), "other lines or another order"
    assert b"" not in entry.policy_strings


def check_refusal(
    outcome: Deferred | NotFound,
    payload: bytes,
    policy: Policy,
    domain: Domain,
    *,
    attributes: bool,
) -> None:
    assert isinstance(outcome, Deferred), "an enforce policy must not be waved through"
    if payload == NO_USABLE_MX:
        assert intended_match(policy) == ()
        return
    assert payload == INVALID_POLICY
    bad_domain = attributes and not is_domain(domain.ascii)
    assert bad_domain or not all(map(is_pattern, policy.mx))


@fuzz
@given(TEXTS, st.booleans())
def test_a_policy_that_parses_means_the_same_to_postfix(text: str, edited: bool) -> None:
    check(parse_policy(text), parse_domain("bücher.example"), text, edited=edited)


@fuzz
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_beside_good_fields_mean_the_same_to_postfix(data: bytes, edited: bool) -> None:
    served = BEGINNING.encode() + data
    try:
        policy = parse_policy(served)
    except PolicySyntaxError:
        return
    check(policy, parse_domain("example.com"), served.decode(), edited=edited)


@fuzz
@given(POLICIES, DOMAINS, st.one_of(TEXTS, HOSTILE), st.booleans())
def test_hostile_values_that_passed_by_the_parser_never_reach_postfix(
    policy: Policy, domain: Domain, text: str, edited: bool
) -> None:
    check(policy, domain, text, edited=edited)


@fuzz
@given(st.lists(st.tuples(HOSTILE, ENDS).map("".join), max_size=4).map("".join), DOMAINS)
def test_a_hostile_text_beside_a_good_policy_adds_nothing(text: str, domain: Domain) -> None:
    check(parse_policy(BEGINNING), domain, text, edited=False)


@settings(fuzz, max_examples=30)
@given(st.sampled_from([1, 1500, 2400, 2500, 6000, 7000]), st.integers(0, 100_000), st.booleans())
def test_a_large_policy_is_answered_whole_in_part_or_not_at_all(
    hosts: int, padding: int, tlsrpt: bool
) -> None:
    policy = Policy("STSv1", Mode.ENFORCE, [MXPattern(f"mx{i}.example") for i in range(hosts)], 1)
    text = f"x: {'y' * padding}"
    domain = parse_domain("example.com")
    payload = reply(policy, domain, tlsrpt=tlsrpt, policy_text=text, edited=False)
    assert len(payload) <= MAX_REPLY
    if payload == POLICY_TOO_LARGE:
        assert sum(len(pattern) + 1 for pattern in policy.mx) > MAX_REPLY - 40
        return
    entry = read_reply(payload, Postfix.V3_10)
    assert isinstance(entry, Entry)
    assert entry.match == intended_match(policy)
    assert len(entry.mx_host_patterns) in (0, hosts)
    assert not entry.policy_strings or entry.mx_host_patterns
    assert tlsrpt or not entry.mx_host_patterns


@fuzz
@given(st.one_of(st.binary(max_size=60), HOSTILE.map(lambda key: key.encode(errors="replace"))))
def test_any_key_is_a_clean_domain_or_answered_at_once(key: bytes) -> None:
    parsed = parse_request(b"postfix-tlsrpt " + key)
    if isinstance(parsed, Query):
        assert is_hostname(parsed.domain.ascii.encode())
        assert parse_domain(parsed.domain.ascii) == parsed.domain
        assert not key.startswith((b".", b"[", b"/"))
    else:
        assert parsed == NOT_FOUND
