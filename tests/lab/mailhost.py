"""A mail host of the laboratory: SMTP up to STARTTLS on loopback, good and bad."""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Manners:
    """How it behaves. A `context` of None is a host without STARTTLS."""

    context: ssl.SSLContext | None = None
    greeting: bytes = b"220 mx.lab.test ESMTP\r\n"
    starttls: bytes = b"220 go ahead\r\n"
    slow: float = 0.0


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._talk(self.server.manners)

    def _talk(self, manners: Manners) -> None:
        time.sleep(manners.slow)
        self.wfile.write(manners.greeting)
        while command := self.rfile.readline().strip():
            self.server.heard.append(command.decode("latin-1"))
            match command.upper().split()[0]:
                case b"EHLO":
                    offers = b"250-STARTTLS\r\n" if manners.context else b""
                    self.wfile.write(b"250-mx.lab.test\r\n" + offers + b"250 SIZE\r\n")
                case b"STARTTLS":
                    self.wfile.write(manners.starttls)
                    self._encrypt(manners)
                    return
                case _:
                    return

    def _encrypt(self, manners: Manners) -> None:
        if manners.context is None:
            return
        with manners.context.wrap_socket(self.connection, server_side=True) as stream:
            self.server.heard.append(stream.recv(100).decode("latin-1").strip())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refuses the certificate hangs up, which is what some tests want."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), _Session)
        self.manners = Manners()
        self.heard: list[str] = []


@contextlib.contextmanager
def running(address: str = "127.0.0.1", port: int = 0) -> Iterator[_Server]:
    """A server whose manners can be changed between connections."""
    with _Server(address, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
