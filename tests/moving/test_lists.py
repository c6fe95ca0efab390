"""Domains from lines of text: which count, and what is said of those that do not."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.moving import lists, reading
from policies.moving.found import Bad, Found, Unreadable

LOG = """\
Mar  1 12:00:00 mail postfix/qmgr[9]: 4Xa: from=<a@sender.example>, size=1, nrcpt=1 (queue active)
Mar  1 12:00:01 mail postfix/smtp[10]: 4Xa: to=<b@Rare.example>, relay=mx.rare.example[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Mar  1 12:00:02 mail postfix/smtp[10]: 4Xb: to=<b@often.example>, orig_to=<c@local.example>, relay=mx.often.example[192.0.2.2]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
2026-03-01T12:00:03+00:00 mail postfix-out/smtp[11]: 4Xc4Z01L2Wz: to=<"x>, y@z"@often.example>, relay=mx.often.example[192.0.2.2]:25, dsn=4.7.5, status=deferred (Server certificate not trusted)
Mar  1 12:00:04 mail postfix/smtp[10]: 4Xd: to=<b@nowhere.example>, relay=none, delay=1, dsn=5.4.4, status=bounced (Host not found)
Mar  1 12:00:05 mail postfix/local[12]: 4Xe: to=<root@local.example>, relay=local, dsn=2.0.0, status=sent (delivered)
Mar  1 12:00:06 mail postfix/smtp[10]: 4Xf: to=<b@[192.0.2.3]>, relay=192.0.2.3[192.0.2.3]:25, dsn=2.0.0, status=sent (250 ok)
Mar  1 12:00:07 mail postfix/smtpd[13]: connect from unknown[192.0.2.4]
"""  # noqa: E501 - as Postfix writes them


def domains(things: object) -> list[str]:
    return [thing.domain.ascii for thing in things if isinstance(thing, Found)]  # type: ignore[attr-defined]


def bad(things: object) -> list[str]:
    return [str(thing) for thing in things if isinstance(thing, Bad)]  # type: ignore[attr-defined]


class TestDomainList:
    def test_one_a_line_in_any_form(self) -> None:
        lines = ["# friends", "Example.ORG.", "", "  bücher.example  # a shop", "xn--bcher-kva.ch"]
        assert domains(lists.domain_list(lines)) == [
            "example.org", "xn--bcher-kva.example", "xn--bcher-kva.ch"
        ]  # fmt: skip

    def test_tells_which_line_is_none_and_why(self) -> None:
        things = list(lists.domain_list(["good.example", "a b", "me@example.org", "192.0.2.1"]))
        assert domains(things) == ["good.example"]
        assert [line.partition(":")[0] for line in bad(things)] == ["line 2", "line 3", "line 4"]
        assert "leave out the '@'" in bad(things)[1]


class TestTlspol:
    def test_reads_what_dump_and_export_print(self) -> None:
        lines = [
            "example.org                      17  secure match=mx.example.org servername=hostname",
            "dane.example                      3  dane-only",
            "exported.example             secure match=.exported.example servername=hostname",
        ]
        assert domains(lists.tlspol_dump(lines)) == [
            "example.org", "dane.example", "exported.example"
        ]  # fmt: skip

    def test_tells_what_is_no_line_of_it(self) -> None:
        things = list(lists.tlspol_dump(["", "example.org", "a..b  1  secure match=x", "? what"]))
        assert not domains(things)
        assert [line[:6] for line in bad(things)] == ["line 2", "line 3", "line 4"]


class TestPostfixLog:
    def test_takes_domains_that_mail_reached_most_mails_first(self) -> None:
        things = list(lists.postfix_log(LOG.splitlines()))
        assert domains(things) == ["often.example", "rare.example"]

    def test_tells_of_a_recipient_that_is_at_no_domain_once(self) -> None:
        things = list(lists.postfix_log((LOG * 3).splitlines()))
        (told,) = bad(things)
        assert told.startswith("line 7: '[192.0.2.3]' is no domain name")

    def test_refuses_what_is_no_log_of_deliveries(self) -> None:
        with pytest.raises(Unreadable, match=r"postfix/smtp\[…\]"):
            list(lists.postfix_log(["Mar  1 12:00:00 mail sshd[1]: hello", ""]))

    @given(st.lists(st.text()))
    def test_takes_any_text(self, lines: list[str]) -> None:
        try:
            list(lists.postfix_log(lines))
        except Unreadable:
            assert True
        list(lists.domain_list(lines))
        list(lists.tlspol_dump(lines))


class TestReading:
    def test_reads_gzip_by_what_is_in_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "mail.log").write_bytes(gzip.compress(LOG.encode()))
        assert list(reading.lines(tmp_path / "mail.log")) == LOG.splitlines()

    def test_reads_several_compressed_parts_in_a_row(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_bytes(gzip.compress(b"a.example\n") + gzip.compress(b"b.example"))
        assert list(reading.lines(tmp_path / "log")) == ["a.example", "b.example"]

    def test_reads_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        buffer = io.BufferedReader(io.BytesIO(b"a.example\r\nb.example"))  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(buffer))
        assert list(reading.lines(reading.STDIN)) == ["a.example", "b.example"]

    def test_replaces_what_is_no_utf8(self, tmp_path: Path) -> None:
        (tmp_path / "list").write_bytes(b"b\xfccher.example\n")
        assert list(reading.lines(tmp_path / "list")) == ["b\N{REPLACEMENT CHARACTER}cher.example"]

    @pytest.mark.parametrize("content", [None, gzip.compress(LOG.encode())[:-20]])
    def test_tells_of_a_file_that_cannot_be_read(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        if content is not None:
            (tmp_path / "file").write_bytes(content)
        with pytest.raises(Unreadable, match="cannot be read"):
            list(reading.lines(tmp_path / "file"))
