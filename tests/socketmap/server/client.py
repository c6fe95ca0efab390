"""A client as Postfix is one: a connection, and one request at a time on it."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType

from policies.socketmap.netstring import encode

PATIENCE = 20.0
"""Seconds after which a missing reply is a failure."""

Where = tuple[str, int] | Path


def connected(where: Where) -> socket.socket:
    """A socket that is connected there, with a deadline for all it does."""
    if isinstance(where, Path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(str(where))
        return sock
    sock = socket.create_connection(where, PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Client:
    def __init__(self, where: Where) -> None:
        self.socket = connected(where)
        self._rest = b""

    def ask(self, key: str, name: str = "postfix") -> bytes:
        """The reply to `name key`, without its netstring."""
        self.send(encode(f"{name} {key}".encode()))
        return self.reply()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """The next reply. Raises EOFError where the server hangs up instead."""
        while b":" not in self._rest:
            self._read()
        length, _, self._rest = self._rest.partition(b":")
        while len(self._rest) <= int(length):
            self._read()
        payload, comma = self._rest[: int(length)], self._rest[int(length) : int(length) + 1]
        self._rest = self._rest[int(length) + 1 :]
        assert comma == b","
        return payload

    def is_hung_up(self) -> bool:
        """Whether the server closes the connection, and says nothing before."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the server hung up after {self._rest!r}")
        self._rest += data
