"""Domain names: what is accepted, in which form, and what an operator is told otherwise."""

from __future__ import annotations

import pytest

from policies.mtasts import Domain, DomainNameError, parse_domain, parse_host
from policies.mtasts.domain import ends_in_number, is_ldh_name

L63 = "a" * 63
NAME253 = ".".join([L63, L63, L63, "a" * 61])


@pytest.mark.parametrize(
    ("name", "ascii_form", "unicode_form"),
    [
        ("example.com", "example.com", "example.com"),
        ("Example.COM.", "example.com", "example.com"),
        ("localhost", "localhost", "localhost"),
        ("1.example", "1.example", "1.example"),
        ("3com.4you", "3com.4you", "3com.4you"),
        ("a-b.example", "a-b.example", "a-b.example"),
        ("münchen.example", "xn--mnchen-3ya.example", "münchen.example"),
        ("MÜNCHEN.EXAMPLE.", "xn--mnchen-3ya.example", "münchen.example"),
        ("mu\u0308nchen.example", "xn--mnchen-3ya.example", "münchen.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example", "münchen.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example", "münchen.example"),
        ("faß.example", "xn--fa-hia.example", "faß.example"),
        ("fass.example", "fass.example", "fass.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah", "例え.テスト"),
        ("ＥＸＡＭＰＬＥ.com", "example.com", "example.com"),
        ("\u212aelvin.example", "kelvin.example", "kelvin.example"),
        ("exa\u00admple.com", "example.com", "example.com"),
        ("ｘｎ－－mnchen-3ya.example", "xn--mnchen-3ya.example", "münchen.example"),
    ],
)
def test_a_name_has_an_ascii_and_a_unicode_form(
    name: str, ascii_form: str, unicode_form: str
) -> None:
    domain = parse_domain(name)
    assert domain == Domain(ascii_form, unicode_form)
    assert parse_domain(domain.ascii) == parse_domain(domain.unicode) == domain


@pytest.mark.parametrize(
    "name",
    [
        "ab--cd.example",
        "r3---sn-x.example",
        "xn--zzz99999.example",
        "xn--a.example",
        "xn--n3h.example",  # a snowman: DNS has it, IDNA 2008 does not
        "xn--iny-zx5a.example",  # decodes to a letter that is mapped away
        "xn---bbk.example",  # another spelling of what xn--bbk decodes to
    ],
)
def test_a_label_that_idna_does_not_know_stays_as_it_is(name: str) -> None:
    assert parse_domain(name.upper()) == Domain(name, name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("", "nothing was given"),
        (".", "label is empty"),
        ("..", "label is empty"),
        (".example.com", "label is empty"),
        ("example..com", "label is empty"),
        ("example.com..", "label is empty"),
        ("\u00ad.example", "label is empty"),
        ("postmaster@example.com", "leave out the '@'"),
        ("example.com:25", "leave out the port"),
        ("https://example.com/", "leave out the port"),
        ("example.com/policy", "leave out the scheme and the path"),
        ("[mail.example.com]", "bracketed host"),
        ("[192.0.2.1]", "address"),
        ("[IPv6:2001:db8::1]", "address"),
        ("2001:db8::1", "IP address"),
        ("::1", "IP address"),
        ("192.0.2.1", "IP address"),
        ("192.0.2.1.", "IP address"),
        ("127.1", "IP address"),
        ("2130706433", "IP address"),
        ("0x7f000001", "IP address"),
        ("１９２.0.2.１", "IP address"),
        ("example.123", "IP address"),
        ("*.example.com", "wildcard"),
        ("_mta-sts.example.com", "underscore"),
        ("exa_mple.com", "underscore"),
        ("exam ple.com", "letters, digits and inner hyphens"),
        (" example.com", "letters, digits and inner hyphens"),
        ("example.com ", "letters, digits and inner hyphens"),
        ("example.com\n", "letters, digits and inner hyphens"),
        ("example.com\0", "letters, digits and inner hyphens"),
        ("exam\x7fple.com", "letters, digits and inner hyphens"),
        ("exam\u00a0ple.com", "letters, digits and inner hyphens"),
        ("exam\u2003ple.com", "letters, digits and inner hyphens"),
        ("-example.com", "letters, digits and inner hyphens"),
        ("example-.com", "letters, digits and inner hyphens"),
        ("xn--.example", "letters, digits and inner hyphens"),
        ("exam!ple.com", "letters, digits and inner hyphens"),
        ("example。com", "stands for a dot"),
        ("example．com", "stands for a dot"),
        ("example｡com", "stands for a dot"),
        ("⒈example", "no internationalised label"),
        ("☕.example", "no internationalised label"),
        ("-é.example", "no internationalised label"),
        ("xn--é.example", "no internationalised label"),
        ("\u0301a.example", "no internationalised label"),
        ("a\u200db.example", "no internationalised label"),
        ("אa.example", "no internationalised label"),
        ("\ud800.example", "no internationalised label"),
        ("é_.example", "no internationalised label"),
        ("é" * 60 + ".example", "no internationalised label"),
        ("\ufdfa" * 60, "no internationalised label"),
        (f"{L63}a.example", "has 64 octets"),
        (f"{NAME253}a", "254 characters"),
        ("a." * 500 + "a", "1001 characters"),
        ("ü." * 50 + "ü", "a domain name at most 253"),
    ],
)
def test_what_is_no_domain_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(DomainNameError) as caught:
        parse_domain(name)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", [NAME253, f"{NAME253}.", f"{L63}.example", f"{L63}.{L63}"])
def test_names_and_labels_may_be_as_long_as_dns_has_them(name: str) -> None:
    assert parse_domain(name).ascii == name.removesuffix(".")


def test_an_over_long_name_is_refused_before_idna_works_on_it() -> None:
    with pytest.raises(DomainNameError) as caught:
        parse_domain("\u0661\u200d" * 1_000_000)
    assert len(str(caught.value)) < 100


def test_the_names_to_look_up_are_below_the_domain() -> None:
    domain = parse_domain("MÜNCHEN.example")
    assert domain.record_name == "_mta-sts.xn--mnchen-3ya.example."
    assert domain.policy_host == "mta-sts.xn--mnchen-3ya.example"


def test_a_domain_without_room_for_the_record_has_no_record_name() -> None:
    longest = parse_domain(NAME253[9:])
    assert len(longest.record_name) == 253 + 1
    one_more = parse_domain(NAME253[8:])
    assert len(one_more.policy_host) == 253
    with pytest.raises(DomainNameError, match="too long for MTA-STS: _mta-sts"):
        _ = one_more.record_name
    with pytest.raises(DomainNameError, match="too long for MTA-STS: mta-sts"):
        _ = parse_domain(NAME253[7:]).policy_host


def test_a_host_may_hold_underscores_and_is_else_read_like_a_domain() -> None:
    assert parse_host("_MX_1.Münch.example.") == "_mx_1.xn--mnch-0ra.example"
    with pytest.raises(DomainNameError, match="wildcard"):
        parse_host("*.example.com")


@pytest.mark.parametrize("name", ["a", "a.b", "1.2", "ab--cd", "xn--zzz99999", NAME253, L63])
def test_ldh_names(name: str) -> None:
    assert is_ldh_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", ".a", "A", "a_b", "-a", "a-", "é", "a b", "a\n", "*", L63 + "a", NAME253 + "a"],
)
def test_names_that_are_not_ldh(name: str) -> None:
    assert not is_ldh_name(name)


@pytest.mark.parametrize("name", ["1", "1.2.3.4", "a.1", "0x", "0x7f", "a.0xff", "007"])
def test_names_that_a_resolver_library_takes_for_addresses(name: str) -> None:
    assert ends_in_number(name)


@pytest.mark.parametrize("name", ["a", "1.a", "a1", "1a", "0xg", "x0", "0x1.a", "a."])
def test_names_that_are_not_taken_for_addresses(name: str) -> None:
    assert not ends_in_number(name)
