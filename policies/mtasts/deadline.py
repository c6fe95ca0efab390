"""One deadline over everything that a policy fetch waits for.

A timeout of Python's sockets bounds one read, and a peer that sends a byte now and then passes
it for ever. The sockets here look at the time that is left before each wait, so the total holds
without a thread that watches. They also count what arrives: a policy is small, and headers or
chunks without end are not worth the wait.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, cast

from policies.mtasts.turns import waiting

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAX_RECEIVED = 1024 * 1024
"""Octets that one connection takes in: a policy of 64 KiB in chunks of one octet, and headers."""


class ReceivedTooMuchError(OSError):
    """The peer sent more than any policy needs."""


class Deadline:
    """A moment, `seconds` after it was made."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """The seconds left, more than 0. Raises TimeoutError where none are."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


class Limits:
    """The deadline and the allowance of one connection."""

    __slots__ = ("_deadline", "_left")

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._left = MAX_RECEIVED

    def remaining(self) -> float:
        """As `Deadline.remaining`."""
        return self._deadline.remaining()

    def count(self, octets: int) -> None:
        """Notes that so many arrived. Raises ReceivedTooMuchError."""
        self._left -= octets
        if self._left < 0:
            raise ReceivedTooMuchError(f"the peer sent more than {MAX_RECEIVED} octets")


class LimitedSocket(socket.socket):
    """A TCP socket within `limits`, as far as HTTP uses it."""

    limits: Limits

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self.limits.remaining())
        with waiting():
            count = super().recv_into(buffer, nbytes, flags)
        self.limits.count(count)
        return count

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        self.settimeout(self.limits.remaining())
        super().sendall(data, flags)


class LimitedTLSSocket(ssl.SSLSocket):
    """The same over TLS. The handshake is one wait, however many reads it takes."""

    limits: Limits

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(self.limits.remaining())
        with waiting():
            super().do_handshake(block)

    # recv() and recv_into() both end here once TLS is up, and before that nothing is to be read.
    def read(self, size: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:
        self.settimeout(self.limits.remaining())
        with waiting():
            data: bytes | int = super().read(size, buffer)
        self.limits.count(data if isinstance(data, int) else len(data))
        return cast(bytes, data)

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        self.settimeout(self.limits.remaining())
        return super().send(data, flags)
