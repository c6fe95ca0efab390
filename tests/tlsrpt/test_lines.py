"""Lines of a policy, as served and made fit for a report."""

from __future__ import annotations

import pytest

from policies.tlsrpt.lines import MAX_LINES, MAX_OCTETS, policy_lines, received_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("\n", ("",)),
        ("a: b", ("a: b",)),
        ("a: b\nc: d\r\n", ("a: b", "c: d")),
        ("a: b \r\r\n", ("a: b \r",)),
        ("a: b\n\n", ("a: b", "")),
        ("a\x0bb\x0cc\x85d\u2028e\n", ("a\x0bb\x0cc\x85d\u2028e",)),
    ],
)
def test_only_lf_and_crlf_end_a_line(text: str, lines: tuple[str, ...]) -> None:
    assert policy_lines(text) == lines


def test_received_lines_lose_control_characters_only() -> None:
    text = "a\tb\x00c\x85d\x7fe\ud800\ncaf\u00e9: \u2615 \r\n"
    lost = "\N{REPLACEMENT CHARACTER}"
    assert received_lines(text) == (
        f"a{lost}b{lost}c{lost}d{lost}e{lost}",
        "caf\u00e9: \u2615 ",
    )


def test_received_lines_are_few() -> None:
    assert received_lines("x\n" * 1000) == ("x",) * MAX_LINES


@pytest.mark.parametrize("text", ["x" * 65536, "é" * 32768, "☕☕\n" * 5000, "\x00" * 65536])
def test_received_lines_are_short_and_whole_characters(text: str) -> None:
    lines = received_lines(text)
    octets = sum(len(line.encode()) for line in lines)
    assert octets <= MAX_OCTETS
    assert "".join(lines) == ("\ufffd" if "\x00" in text else text[0]) * sum(map(len, lines))


def test_a_line_that_does_not_fit_ends_the_lines() -> None:
    full = "x" * (MAX_OCTETS - 1)
    assert received_lines(f"{full}\n☕\nmore\n") == (full,)
    assert received_lines(f"{full}x\nmore\n") == (f"{full}x",)
    assert received_lines(f"{full}yz\nmore\n") == (f"{full}y",)
    assert received_lines(f"{full}x\n\n") == (f"{full}x", "")
