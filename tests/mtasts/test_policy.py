"""The policy: matching, rendering, and what the conformance set does not say of it."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import time

import pytest

from policies.mtasts import (
    Mode,
    MXPattern,
    Policy,
    PolicySyntaxError,
    parse_mx,
    parse_policy,
)

TEXT = """\
version: STSv1
mode: enforce
mx: mail.example.com
mx: *.example.net
max_age: 604800
note: two words
"""


def policy(*mx: str) -> Policy:
    patterns = [parse_mx(value) for value in mx]
    return Policy("STSv1", Mode.ENFORCE, patterns, 86400)


MATCHING = policy(
    "mail.example.com",
    "*.example.net",
    "xn--mx-mka.example",
    "*.xn--mnchen-3ya.example",
    "192.0.2.1",
    "*.0.2.2",
    "0x7f000001",
    "xn--zzz99999.example",
    "ab--cd.example",
)


@pytest.mark.parametrize(
    "host",
    [
        "mail.example.com",
        "MAIL.Example.COM",
        "mail.example.com.",
        "ｍａｉｌ.example.com",
        "a.example.net",
        "A.EXAMPLE.NET.",
        "_a.example.net",
        "a_b.example.net",
        "_.example.net",
        "é.example.net",
        "xn--9ca.example.net",
        "ab--cd.example.net",
        "xn--zzz99999.example.net",
        "1.example.net",
        "a" * 63 + ".example.net",
        "mx.münchen.example",
        "mx.MÜNCHEN.example",
        "mx.xn--mnchen-3ya.example",
        "XN--ZZZ99999.example",
        "ab--cd.example",
    ],
)
def test_a_host_that_fits_a_pattern_matches(host: str) -> None:
    assert MATCHING.matches(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "example.com",
        "mail.example.co",
        "mail.example.com..",
        ".mail.example.com",
        "x.mail.example.com",
        "xmail.example.com",
        "example.net",
        ".example.net",
        "..example.net",
        "a.b.example.net",
        "a.example.net.example.org",
        "xexample.net",
        "*.example.net",
        "*",
        "a*.example.net",
        "a..example.net",
        "a.example..net",
        "a.example.net\n",
        "a.example.net ",
        " a.example.net",
        "a b.example.net",
        "a\tb.example.net",
        "a\0.example.net",
        "a\x7f.example.net",
        "\u00a0.example.net",
        "a\u2028.example.net",
        "a。example.net",
        "a．example.net",
        "a.example｡net",
        "-a.example.net",
        "a-.example.net",
        "a:25.example.net",
        "[a.example.net]",
        "a@example.net",
        "\u00ad.example.net",
        "\ud800.example.net",
        "☕.example.net",
        "a" * 64 + ".example.net",
        "a." * 200 + "example.net",
        "é" * 300 + ".example.net",
        "192.0.2.1",
        "192.0.2.1.",
        "[192.0.2.1]",
        "１９２.0.2.1",
        "1.0.2.2",
        "0x7f000001",
        "0X7F000001",
        "2001:db8::1",
        "[IPv6:2001:db8::1]",
        "::ffff:192.0.2.1",
        "fe80::1%eth0",
        "münchen.example",
    ],
)
def test_any_other_host_does_not(host: str) -> None:
    assert not MATCHING.matches(host)


def test_a_policy_without_patterns_matches_nothing() -> None:
    assert not policy().matches("mail.example.com")


def test_a_wildcard_of_one_label_wants_a_label_before_it() -> None:
    assert policy("*.example").matches("mx.example")
    assert not policy("*.example").matches("example")


def test_a_wildcard_with_no_room_for_a_label_matches_nothing() -> None:
    base = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert not policy(f"*.{base}").matches(f"a.{base}")


def test_a_pattern_knows_its_parts() -> None:
    plain, wildcard = parse_mx("MX.Example.net"), parse_mx("*.Example.net")
    assert (plain, plain.base, plain.wildcard) == ("mx.example.net", "mx.example.net", False)
    assert (wildcard, wildcard.base, wildcard.wildcard) == ("*.example.net", "example.net", True)
    assert not plain.is_address
    assert not wildcard.is_address
    assert not wildcard.matches(".example.net")


@pytest.mark.parametrize("value", ["192.0.2.1", "127.1", "*.2.3.4", "2130706433", "0X7f.1", "a.1"])
def test_a_pattern_shaped_like_an_address_matches_not_even_itself(value: str) -> None:
    pattern = parse_mx(value)
    assert pattern.is_address
    assert not pattern.matches(pattern)
    assert not policy(value).matches(value)


@pytest.mark.parametrize("value", ["", "*", "a_b", "é.example", "a.", "\ud800"])
def test_a_form_can_check_a_single_pattern(value: str) -> None:
    with pytest.raises(ValueError, match="expected for 'mx' a host name in A-labels"):
        parse_mx(value)


def test_a_pattern_is_a_string_to_json_and_pickle() -> None:
    patterns = parse_policy(TEXT).mx
    assert json.dumps(patterns) == '["mail.example.com", "*.example.net"]'
    again = pickle.loads(pickle.dumps(patterns))
    assert again == patterns
    assert again[1].wildcard


def test_a_policy_renders_to_a_text_that_reads_the_same() -> None:
    policy = parse_policy(TEXT)
    assert str(policy) == TEXT
    assert parse_policy(str(policy)) == policy


def test_a_mode_none_without_mx_renders_without_mx() -> None:
    text = "version: STSv1\nmode: none\nmax_age: 0\n"
    assert str(parse_policy(text)) == text


def test_a_policy_from_a_database_row_is_equal_to_the_one_stored() -> None:
    parsed = parse_policy(TEXT)
    row = json.loads(json.dumps(dataclasses.asdict(parsed)))
    restored = Policy(**row)
    assert restored == parsed
    assert restored.mode is Mode.ENFORCE
    assert all(isinstance(pattern, MXPattern) for pattern in restored.mx)


def test_a_policy_of_an_unknown_mode_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="report"):
        Policy("STSv1", "report", [], 0)  # type: ignore[arg-type]  # that it is refused is the test


def test_a_policy_cannot_be_changed_and_can_be_copied() -> None:
    policy = parse_policy(TEXT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.max_age = 1  # type: ignore[misc]  # that this is refused is the test
    assert copy.deepcopy(policy) == dataclasses.replace(policy) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected 'version', 'mode', 'max_age', found the end of the policy"),
        ("version: STSv1\nmode: enforce\nmax_age: 1", "line 3: expected 'mx', found the end"),
        ("version: STSv1\n\n", "line 2: expected 'name: value', found an empty line"),
        ("mode: Enforce", "line 1: expected 'enforce', 'testing' or 'none' for 'mode', found 'Enf"),
        ("max_age: 1d", "line 1: expected 1 to 10 digits, in seconds for 'max_age', found '1d'"),
        ("mx: *", "line 1: expected for 'mx' a host name in A-labels"),
        ("a:", "line 1: expected a value for 'a', found none"),
        ("a: x\ty", "line 1: expected a value of 'a' without control characters, found 'x\\ty'"),
        (b"a: \xff", "line 1: expected a value of 'a' in UTF-8, found"),
        ("\ufeffversion: STSv1", "found '\\ufeffversion: STSv1'"),
    ],
)
def test_the_error_says_where_and_what_was_expected(text: str | bytes, message: str) -> None:
    with pytest.raises(PolicySyntaxError) as caught:
        parse_policy(text)
    assert message in str(caught.value)


def test_messages_stay_short_and_printable_whatever_a_stranger_serves() -> None:
    for text in ("\x1b[31m" + "x" * 60_000, "a: \x1b\u202e" + "x" * 60_000, "mx: " + "\u202e" * 99):
        with pytest.raises(PolicySyntaxError) as caught:
            parse_policy(text)
        assert len(str(caught.value)) < 300
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 1_000_000,
        "\r" * 1_000_000,
        ":" * 1_000_000,
        "a" * 1_000_000,
        "a:" + " " * 1_000_000,
        "a: " + "x " * 500_000 + "\x00",
        "mx: " + "a." * 500_000,
        "mx: " + "a-" * 500_000,
        "mx: " + "*." * 500_000,
        "max_age: " + "1" * 1_000_000,
        "version: STSv1\n" * 60_000 + "!",
        "mx: a.example\n" * 60_000 + "!",
        "".join(f"a{n}: x\n" for n in range(100_000)),
    ],
    ids=lambda text: ascii(text[:16] + "…" + text[-4:]),
)
def test_a_megabyte_of_malice_is_refused_in_linear_time(text: str) -> None:
    started = time.process_time()
    with pytest.raises(PolicySyntaxError):
        parse_policy(text)
    assert time.process_time() - started < 2
