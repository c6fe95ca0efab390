"""One connection to the policy host, down to single bytes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import TypeVar

from tests.lab.hello import server_name
from tests.lab.log import Request

T = TypeVar("T")

HANDSHAKE_RECORD = 22
RECORD_HEADER = 5
CHUNK = 65536


class PeerGone(ConnectionError):
    """The client has closed, or the laboratory wants its thread back."""


class Connection:
    """The server's end. TLS is worked in memory, so that each byte's time can be chosen.

    Every method raises OSError (of which PeerGone and ssl.SSLError are kinds) when the
    client goes away or refuses what it gets; `pause` notices that at once.
    `address` is the one that the client connected to; `sni` is known after `read_hello`.
    """

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.address = address
        self.sni = ""
        self._sock = sock
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    def read_hello(self) -> None:
        """Reads the ClientHello without answering it."""
        hello = self._receive()
        while len(hello) < RECORD_HEADER or len(hello) < _record_size(hello):
            hello += self._receive()
        self.sni = server_name(hello)
        self._incoming.write(hello)

    def handshake(self, context: ssl.SSLContext, *, drip: float | None = None) -> None:
        """Does the TLS handshake; with `drip`, seconds between the bytes that it sends."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._pump(self._tls.do_handshake, drip)

    def read_request(self) -> Request:
        """The request, its body not read."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._read()
            if not data:
                raise PeerGone("closed before the request was whole")
            head += data
        request_line, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, path, *_ = request_line.split(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        return Request(self.sni, method, path, self.address, headers)

    def send(self, data: bytes, *, drip: float | None = None) -> None:
        """Sends over TLS once there was a handshake, else in the clear.

        With `drip` it goes byte by byte, so many seconds apart.
        """
        if drip is None:
            self._send(data)
            return
        for byte in data:
            self._send(bytes((byte,)))
            self.pause(drip)

    def pause(self, seconds: float) -> None:
        """Waits, taking in what the client sends; raises PeerGone as soon as it has closed."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self._sock.settimeout(left)
                with contextlib.suppress(TimeoutError):
                    self._incoming.write(self._receive())
        finally:
            self._sock.settimeout(None)

    def wait_until_gone(self) -> None:
        """Says nothing more until the client has closed."""
        with contextlib.suppress(PeerGone):
            while True:
                self._receive()

    def finish(self, *, close_notify: bool = True) -> None:
        """Closes our side, with TLS's word that it is the end or without, and awaits theirs."""
        if close_notify and self._tls is not None:
            with contextlib.suppress(ssl.SSLWantReadError):  # we do not ask for theirs
                self._tls.unwrap()
            self._flush()
        self._sock.shutdown(socket.SHUT_WR)
        self.wait_until_gone()

    def reset(self) -> None:
        """Breaks the connection off with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def _read(self) -> bytes:
        if self._tls is None:
            return self._receive()
        tls = self._tls
        return self._pump(lambda: tls.read(CHUNK))

    def _send(self, data: bytes) -> None:
        if self._tls is None:
            self._sock.sendall(data)
            return
        self._tls.write(data)
        self._flush()

    def _pump(self, step: Callable[[], T], drip: float | None = None) -> T:
        """Does one step of TLS, moving bytes both ways until it is done."""
        while True:
            try:
                with contextlib.suppress(ssl.SSLWantReadError):
                    return step()
            finally:
                self._flush(drip)
            self._incoming.write(self._receive())

    def _flush(self, drip: float | None = None) -> None:
        data = self._outgoing.read()
        if not data:
            return
        if drip is None:
            self._sock.sendall(data)
            return
        for byte in data:
            self._sock.sendall(bytes((byte,)))
            self.pause(drip)

    def _receive(self) -> bytes:
        data = self._sock.recv(CHUNK)
        if not data:
            raise PeerGone("the client has closed")
        return data


def _record_size(data: bytes) -> int:
    if data[0] != HANDSHAKE_RECORD:
        raise PeerGone("this is no TLS")
    return RECORD_HEADER + int.from_bytes(data[3:5])
