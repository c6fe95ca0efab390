"""Text from outside: what is left of it in databases, pages and reports."""

from __future__ import annotations

import pytest

from policies.tlsrpt import text


class TestCode:
    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("certificate-expired", "certificate-expired"),
            (b"caf\xe9".decode(errors="surrogateescape"), "caf\\xe9"),
            ("a\0b\n\u202e", "a\\x00b\\n\\u202e"),
            ("\ud800", "\\ud800"),
        ],
    )
    def test_what_cannot_be_printed_is_escaped(self, given: str, shown: str) -> None:
        assert text.code(given, 255) == shown

    def test_what_is_too_long_is_cut_and_says_so(self) -> None:
        assert text.code("x" * 300, 255) == "x" * 254 + "…"


class TestLine:
    def test_a_line_keeps_what_a_report_can_carry(self) -> None:
        assert text.line("x-note: grüße \u200d 🙂") == "x-note: grüße \u200d 🙂"
