"""Reads the server name out of a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3)."""

from __future__ import annotations

HEADERS = 5 + 4 + 2 + 32  # record header, handshake header, version, random
SERVER_NAME = 0


class Reader:
    """Takes length-prefixed fields off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def field(self, prefix: int) -> bytes:
        """A field behind its length, which takes `prefix` bytes."""
        return self.take(self.number(prefix))


def server_name(record: bytes) -> str:
    """The name in lower case; empty where the client sent none."""
    reader = Reader(record[HEADERS:])
    for prefix in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.field(prefix)
    extensions = Reader(reader.field(2))
    while extensions.rest:
        kind, content = extensions.number(2), extensions.field(2)
        if kind == SERVER_NAME:
            names = Reader(Reader(content).field(2))
            names.take(1)  # the type: a DNS name is the only one there is
            return names.field(2).decode("ascii").lower()
    return ""
