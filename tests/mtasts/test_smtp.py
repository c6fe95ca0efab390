"""SMTP replies out of octets, however they come."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import given
from hypothesis import strategies as st

from policies.mtasts.smtp import MAX_REPLY, Reader, Reply, SMTPError

EHLO = b"250-mx.example ready\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 8BITMIME\r\n"


def read(*pieces: bytes) -> Reply | None:
    reader = Reader()
    for piece in pieces:
        reader.feed(piece)
    return reader.reply()


def test_reads_a_reply_of_one_line() -> None:
    assert read(b"220 mx.example ESMTP\r\n") == Reply(220, ("mx.example ESMTP",))


@pytest.mark.parametrize("octets", [b"220\r\n", b"220 \r\n", b"220 \n"])
def test_takes_a_reply_without_words(octets: bytes) -> None:
    assert read(octets) == Reply(220, ("",))


@given(st.integers(0, len(EHLO)), st.integers(0, len(EHLO)))
def test_reads_a_reply_of_many_lines_in_any_pieces(one: int, other: int) -> None:
    first, second = sorted((one, other))
    reply = read(EHLO[:first], EHLO[first:second], EHLO[second:])
    assert reply is not None
    assert reply.offers("STARTTLS")
    assert not reply.offers("MX.EXAMPLE")


def test_waits_for_the_rest() -> None:
    reader = Reader()
    reader.feed(EHLO[:-1])
    assert reader.reply() is None
    reader.feed(b"\n")
    assert reader.reply() is not None


def test_tells_what_was_slipped_in_behind_a_reply() -> None:
    reader = Reader()
    reader.feed(b"220 go\r\n250 surprise\r\n")
    assert reader.reply() == Reply(220, ("go",))
    assert not reader.is_empty


@pytest.mark.parametrize(
    "octets", [b"HTTP/1.1 400 Bad\r\n", b"250-a\r\n550 b\r\n", b"25\r\n", b"\r\n", b"999 x\r\n"]
)
def test_refuses_what_is_no_reply(octets: bytes) -> None:
    with pytest.raises(SMTPError):
        read(octets)


def test_refuses_a_reply_without_end() -> None:
    with pytest.raises(SMTPError):
        read(b"250-x\r\n" * MAX_REPLY)


@given(st.binary(max_size=200))
def test_any_octets_are_a_reply_or_none_or_an_error(octets: bytes) -> None:
    try:
        reply = read(octets)
    except SMTPError:
        return
    assert reply is None or 200 <= reply.code < 600
