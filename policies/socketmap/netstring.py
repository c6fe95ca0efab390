"""Netstrings, `<length>:<bytes>,`: the frames of Postfix's socketmap protocol.

Sans-IO: bytes go in, whole requests come out; who reads the socket is no concern of this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_REQUEST = 10_000
"""Bytes of a request: more than any next hop needs, and Postfix's own limit for a query."""

# Every length a request may have, as it is written. One look-up judges sign, blanks, leading
# zeros, digits and limit; the beginning of such a length is itself in here.
_LENGTHS = {b"%d" % length: length for length in range(MAX_REQUEST + 1)}
_LONGEST_PREFIX = len(b"%d:" % MAX_REQUEST)
_COMMA = ord(",")


class ProtocolError(Exception):
    """The peer does not speak netstrings, or speaks too long ones: close the connection."""


def encode(payload: bytes) -> bytes:
    """The netstring that carries `payload`."""
    return b"%d:%b," % (len(payload), payload)


class Reader:
    """Cuts one connection's bytes into requests, however the network has cut them.

    It keeps at most one unfinished request. After a `ProtocolError` it raises that error again:
    where the next request would begin is unknown.
    """

    __slots__ = ("_error", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._error: ProtocolError | None = None

    @property
    def pending(self) -> int:
        """Bytes received of a request that is not complete yet.

        While it is 0 a read begins with a request, so a server may look up the whole frame, as
        `encode` makes it, before it asks the reader.
        """
        return len(self._rest)

    def feed(self, data: bytes) -> Iterable[bytes]:
        """The requests that `data` completes, without their framing.

        Iterate to the end, and before the next call. Raises `ProtocolError` while iterating,
        after the requests that came before the fault.
        """
        if self._rest or self._error:
            return self._split(self._rest + data)
        # Postfix sends one request and waits for its reply: the case that has to be fast.
        length, _, rest = data.partition(b":")
        if _LENGTHS.get(length) == len(rest) - 1 and rest[-1] == _COMMA:
            return (rest[:-1],)
        return self._split(data)

    def _split(self, data: bytes) -> Iterator[bytes]:
        if self._error:
            raise self._error
        start = 0
        while (end := self._end(data, start)) is not None:
            request = data[data.index(b":", start) + 1 : end - 1]
            start = end
            yield request
        self._rest = data[start:]

    def _end(self, data: bytes, start: int) -> int | None:
        """Where the netstring at `start` ends; None while it is incomplete."""
        if start == len(data):
            return None
        colon = data.find(b":", start, start + _LONGEST_PREFIX)
        written = data[start : start + _LONGEST_PREFIX] if colon < 0 else data[start:colon]
        length = _LENGTHS.get(written)
        if length is None:
            raise self._broken(_wrong_length(written))
        if colon < 0:
            return None
        comma = colon + 1 + length
        if comma >= len(data):
            return None
        if data[comma] != _COMMA:
            raise self._broken("no comma where the request should end")
        return comma + 1

    def _broken(self, problem: str) -> ProtocolError:
        self._rest = b""
        self._error = ProtocolError(problem)
        return self._error


def _wrong_length(written: bytes) -> str:
    if written.isdigit() and not written.startswith(b"0"):
        return f"request of more than {MAX_REQUEST} bytes"
    return "no length where a request should begin"
