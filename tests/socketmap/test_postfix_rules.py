"""The checker itself: each case is what Postfix 3.7.11 or 3.10.13 does with such an entry."""

import pytest

from tests.socketmap.postfix_rules import (
    Deferred,
    Entry,
    Kind,
    Match,
    NotFound,
    Postfix,
    is_hostname,
    read_entry,
    read_reply,
)

BOTH = list(Postfix)
STS = b"secure match=a.example servername=hostname policy_type=sts "


def accepted(text: bytes, version: Postfix = Postfix.V3_10) -> Entry:
    entry = read_entry(text, version)
    assert isinstance(entry, Entry), entry
    return entry


def refused(text: bytes, version: Postfix = Postfix.V3_10) -> str:
    outcome = read_entry(text, version)
    assert isinstance(outcome, Deferred), outcome
    return outcome.warning


@pytest.mark.parametrize("version", BOTH)
def test_match_is_split_at_colons_and_gathered_from_every_match(version: Postfix) -> None:
    entry = accepted(b"SECURE Match=a.example::.b.example, match=nexthop:1.2.3.4:.", version)
    assert entry.level == b"secure"
    assert entry.match == (
        Match(Kind.NAME, b"a.example"),
        Match(Kind.SUBDOMAINS, b"b.example"),
        Match(Kind.WORD, b"nexthop"),
        Match(Kind.ADDRESS, b"1.2.3.4"),
        Match(Kind.NOTHING, b""),
    )


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(
    ("text", "gist"),
    [
        (b"", "empty policy"),
        (b" ,\t\r\n", "empty policy"),
        (b"\0secure", "empty policy"),
        (b"sekure", "invalid security level"),
        (b"halfdane", "invalid security level"),
        (b"secure match", "missing '='"),
        (b"secure =x", "missing attribute name"),
        (b"secure match=", "empty value"),
        (b"secure ciphers=", "bad value"),
        (b"may match=a.example", "invalid at security level"),
        (b"secure servername=a.example servername=a.example", "multiple times"),
        (b"secure servername=192.0.2.1", "bad value"),
        (b"secure servername=", "bad value"),
        (b"secure connection_reuse=maybe", "bad value"),
        (b"secure tafile=/etc/passwd", "never ours"),
        (b"secure fallback=none", "invalid attribute name"),
        (b"secure { match", "malformed"),
    ],
)
def test_such_an_entry_defers_all_mail(text: bytes, gist: str, version: Postfix) -> None:
    assert gist in refused(text, version)


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        (STS + b"policy_type=sts", "multiple times"),
        (STS + b"policy_domain=a policy_domain=a", "multiple times"),
        (STS + b"policy_domain=1.2.3", "bad value"),
        (STS + b"policy_ttl=-1", "bad value"),
        (STS + b"policy_failure=oops", "bad value"),
        (b"secure policy_type=tlsa", "bad value"),
        (b"secure mx_host_pattern=a", "built-in policy"),
        (b"secure { policy_string = a }", "built-in policy"),
        (b"secure policy_domain=a", "built-in policy"),
        (b"secure policy_ttl=1", "built-in policy"),
        (STS + b"{ policy_string = { }", "missing '}'"),
        (STS + b"{ policy_string = } }", "missing '='"),
        (STS + b"{ policy_string = a }b", "syntax error after '}'"),
        (STS + b"{ policy_string = a }{ b }", "syntax error after '}'"),
        (STS + b"{ }", "missing attribute name"),
    ],
)
def test_such_tlsrpt_attributes_defer_all_mail(text: bytes, gist: str) -> None:
    assert gist in refused(text)


def test_postfix_3_7_knows_neither_braces_nor_tlsrpt_attributes() -> None:
    assert "policy_type" in refused(STS, Postfix.V3_7)
    assert "enable_rpk" in refused(b"may enable_rpk=no", Postfix.V3_7)
    assert "missing '='" in refused(b"may { ciphers = high }", Postfix.V3_7)
    assert accepted(b"may { ciphers = high }").get(b"ciphers") == b"high"
    assert accepted(b"may enable_rpk=no enable_rpk=yes").level == b"may"


def test_blanks_around_a_braced_value_are_cut_and_those_inside_become_spaces() -> None:
    entry = accepted(STS + b"{\tpolicy_string =  a:\tb, c = {d}\v } {policy_string=}")
    assert entry.policy_strings == (b"a: b, c = {d}", b"")


def test_level_none_looks_at_no_attribute() -> None:
    assert accepted(b"none match=a { oops") == Entry(b"none")


def test_sts_patterns_take_the_place_of_match() -> None:
    entry = accepted(STS + b"mx_host_pattern=*.a.example mx_host_pattern=b.example")
    assert entry.names_checked() == (Match(Kind.WORD, b"hostname"),)
    assert entry.allows_mx(b"MX.a.example")
    assert entry.allows_mx(b"b.example")
    for host in (b"a.example", b".a.example", b"x.mx.a.example", b"c.example"):
        assert not entry.allows_mx(host)


def test_without_patterns_match_counts_and_any_mx_is_allowed() -> None:
    entry = accepted(b"secure match=a.example")
    assert entry.names_checked() == entry.match
    assert entry.allows_mx(b"evil.example")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"OK",
        b"OK ",
        b"ok secure",
        b"TEMP reason",
        b"TIMEOUT reason",
        b"PERM reason",
        b"FOUND secure",
        b"OK secure match=\xff",
        b"OK secure match=a.example" + b" " * 100_000,
    ],
)
def test_such_a_reply_defers_the_mail(payload: bytes) -> None:
    assert isinstance(read_reply(payload, Postfix.V3_10), Deferred)


def test_not_found_and_ok_are_told_apart() -> None:
    assert read_reply(b"NOTFOUND ", Postfix.V3_7) == NotFound()
    assert read_reply(b"OK dane-only", Postfix.V3_7) == Entry(b"dane-only")
    assert read_reply(b"OK encrypt", Postfix.V3_10) == Entry(b"encrypt")


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        (b"a", True),
        (b"a_b.example", True),
        (b"1.2.3a", True),
        (b"x" * 63 + b".example", True),
        (b"x" * 64 + b".example", False),
        (b".".join([b"x" * 63] * 4), True),
        (b".".join([b"x" * 63] * 4) + b".x", False),
        (b"1.2.3.4", False),
        (b"", False),
        (b"a..b", False),
        (b"a.", False),
        (b"-a", False),
        (b"a-.b", False),
        (b"*.a", False),
        (b"\xc3\xbc", False),
    ],
)
def test_host_names(name: bytes, valid: bool) -> None:
    assert is_hostname(name) is valid
