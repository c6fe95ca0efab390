import pytest

from policies.mtasts.domain import Domain
from policies.mtasts.mx import MXPattern
from policies.mtasts.policy import Mode, Policy, parse_policy
from policies.socketmap.reply import (
    INVALID_POLICY,
    MAX_REPLY,
    NO_USABLE_MX,
    NOT_FOUND,
    POLICY_TOO_LARGE,
    reply,
    temporary,
)
from tests.socketmap.postfix_rules import Deferred, Entry, Kind, Match, Postfix, read_reply

EXAMPLE = Domain("example.com", "example.com")
TEXT = (
    "version: STSv1\r\n"
    "mode: enforce\r\n"
    "mx: mail.example.com\r\n"
    "mx: *.example.net\r\n"
    "mx: backupmx.example.com\r\n"
    "max_age: 604800\r\n"
)
SECURE = b"OK secure match=mail.example.com:.example.net:backupmx.example.com servername=hostname"
ATTRIBUTES = (
    b" policy_type=sts policy_domain=example.com mx_host_pattern=mail.example.com"
    b" mx_host_pattern=*.example.net mx_host_pattern=backupmx.example.com"
)
STRINGS = (
    b" { policy_string = version: STSv1 } { policy_string = mode: enforce }"
    b" { policy_string = mx: mail.example.com } { policy_string = mx: *.example.net }"
    b" { policy_string = mx: backupmx.example.com } { policy_string = max_age: 604800 }"
)


def answer(
    text: str = TEXT, *, tlsrpt: bool = True, served: str | None = None, edited: bool = False
) -> bytes:
    served = text if served is None else served
    return reply(parse_policy(text), EXAMPLE, tlsrpt=tlsrpt, policy_text=served, edited=edited)


def enforce(*mx: str) -> Policy:
    return Policy("STSv1", Mode.ENFORCE, [MXPattern(pattern) for pattern in mx], 604800)


def answer_for(*mx: str, tlsrpt: bool = True, text: str = "", domain: Domain = EXAMPLE) -> bytes:
    return reply(enforce(*mx), domain, tlsrpt=tlsrpt, policy_text=text, edited=False)


def accepted(payload: bytes, version: Postfix = Postfix.V3_10) -> Entry:
    entry = read_reply(payload, version)
    assert isinstance(entry, Entry), entry
    return entry


def strings(text: str) -> tuple[bytes, ...]:
    return accepted(answer(served=text)).policy_strings


def test_the_example_of_rfc_8461_gives_this_reply_byte_for_byte() -> None:
    assert answer() == SECURE + ATTRIBUTES + STRINGS


def test_the_plain_map_gets_no_tlsrpt_attributes() -> None:
    assert answer(tlsrpt=False) == SECURE
    accepted(SECURE, Postfix.V3_7)


def test_postfix_3_7_would_refuse_the_attributes() -> None:
    refused = read_reply(answer(), Postfix.V3_7)
    assert isinstance(refused, Deferred)
    assert "policy_type" in refused.warning


def test_an_edited_policy_enters_no_report() -> None:
    assert answer(edited=True) == SECURE


@pytest.mark.parametrize("mode", ["testing", "none"])
@pytest.mark.parametrize("tlsrpt", [False, True])
def test_other_modes_are_not_found(mode: str, tlsrpt: bool) -> None:
    assert answer(TEXT.replace("enforce", mode), tlsrpt=tlsrpt) == NOT_FOUND


def test_postfix_enforces_the_mx_patterns_of_the_policy() -> None:
    entry = accepted(answer())
    assert entry.allows_mx(b"MAIL.example.com")
    assert entry.allows_mx(b"a.example.net")
    assert not entry.allows_mx(b"a.b.example.net")
    assert not entry.allows_mx(b"example.net")


def test_patterns_keep_their_order_and_repeated_ones_count_once() -> None:
    payload = answer_for("b.example", "*.a.example", "b.example", "a.example", "*.a.example")
    assert payload.startswith(b"OK secure match=b.example:.a.example:a.example servername=hostname")
    assert accepted(payload).mx_host_patterns == (b"b.example", b"*.a.example", b"a.example")


@pytest.mark.parametrize("address", ["192.0.2.1", "192.000.002.001", "127.1", "*.192.0.2.1", "7"])
def test_a_pattern_shaped_like_an_ip_address_never_reaches_postfix(address: str) -> None:
    payload = answer_for(address, "mail.example.com")
    assert payload == answer_for("mail.example.com")
    assert address.encode() not in payload
    assert answer_for(address, "192.0.2.2") == NO_USABLE_MX


@pytest.mark.parametrize("word", ["hostname", "nexthop", "dot-nexthop"])
def test_a_pattern_that_postfix_takes_for_a_word_of_its_own_is_left_out(word: str) -> None:
    assert answer_for(word, "mail.example.com") == answer_for("mail.example.com")
    assert answer_for(word) == NO_USABLE_MX


def test_a_wildcard_below_such_a_word_is_a_name_like_any_other() -> None:
    entry = accepted(answer_for("*.hostname", tlsrpt=False), Postfix.V3_7)
    assert entry.match == (Match(Kind.SUBDOMAINS, b"hostname"),)


def test_an_enforce_policy_that_nothing_can_match_defers_the_mail() -> None:
    assert isinstance(read_reply(answer_for("192.0.2.1"), Postfix.V3_7), Deferred)
    assert answer_for() == NO_USABLE_MX
    assert NO_USABLE_MX.startswith(b"TEMP ")


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "*.",
        ".example.com",
        "mail.example.com.",
        "a.example servername=evil.example",
        "a.example:hostname",
        "a.example,ciphers=null",
        "a.example}",
        "{a.example",
        "a.example\n",
        "a.example\0",
        "MAIL.example.com",
        "ä.example",
        "*.*.example",
        "-a.example",
        "a_b.example",
        "a" * 64 + ".example",
        "a." * 126 + "ab",
    ],
)
def test_one_value_outside_the_grammar_yields_no_reply_data(hostile: str) -> None:
    for tlsrpt in (False, True):
        payload = answer_for("mail.example.com", hostile, tlsrpt=tlsrpt)
        assert payload == INVALID_POLICY
    assert INVALID_POLICY.startswith(b"TEMP ")


@pytest.mark.parametrize(
    "hostile", ["", "a b.example", "example.com match=x", "ä.example", "a}", "192.0.2.1", "7"]
)
def test_a_domain_outside_the_grammar_yields_no_reply_data(hostile: str) -> None:
    domain = Domain(hostile, hostile)
    assert answer_for("mail.example.com", domain=domain) == INVALID_POLICY
    assert answer_for("mail.example.com", domain=domain, tlsrpt=False).startswith(b"OK secure ")


@pytest.mark.parametrize(
    "line",
    [
        "a: }",
        "a: {",
        "a: { b }",
        "a: } servername=evil.example {",
        "a: b\tc",
        "a: b\rc",
        "a: b\0c",
        "a: b\x7fc",
        "a: b\x85c",
        "a: \ud800",
        "",
        " \t",
        "\r",
    ],
)
def test_a_line_that_postfix_would_misread_is_left_out_of_the_policy_string(line: str) -> None:
    assert strings(f"version: STSv1\n{line}\nmode: enforce") == (
        b"version: STSv1",
        b"mode: enforce",
    )


def test_lines_are_quoted_as_served_without_line_ends_and_outer_blanks() -> None:
    assert strings("version:STSv1\nmode:   enforce \t\r\nx: a, b = c; ü\r\n") == (
        b"version:STSv1",
        b"mode:   enforce",
        "x: a, b = c; ü".encode(),
    )


def test_without_a_policy_text_the_patterns_are_still_held() -> None:
    assert answer(served="") == SECURE + ATTRIBUTES


def sized(extra: int) -> str:
    return TEXT + "x: " + "y" * extra + "\r\n"


def test_a_reply_that_just_fits_is_whole_and_one_byte_more_drops_the_policy_strings() -> None:
    room = MAX_REPLY - len(answer(served=sized(1))) + 1
    assert len(answer(served=sized(room))) == MAX_REPLY
    assert answer(served=sized(room + 1)) == SECURE + ATTRIBUTES


def test_the_limit_counts_bytes_not_characters() -> None:
    assert answer(served=sized(0) + "u: " + "ü" * 45_000) == SECURE + ATTRIBUTES


def hosts(count: int) -> list[str]:
    return [f"mx{number:05}.example.com" for number in range(count)]


def test_when_the_patterns_do_not_fit_either_match_goes_alone() -> None:
    payload = answer_for(*hosts(3000), text=TEXT)
    assert payload == answer_for(*hosts(3000), tlsrpt=False)
    assert len(accepted(payload, Postfix.V3_7).match) == 3000


def test_match_is_never_shortened() -> None:
    assert answer_for(*hosts(5000)) == POLICY_TOO_LARGE == b"TEMP policy too large"
    assert answer_for(*hosts(5000), tlsrpt=False) == POLICY_TOO_LARGE


def test_a_reason_is_one_line_of_ascii() -> None:
    assert temporary("DNS: timeout") == b"TEMP DNS: timeout"
    assert temporary("ü\r\n\x7f\u2028x") == b"TEMP ?????x"
