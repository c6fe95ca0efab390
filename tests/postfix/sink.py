"""Mail hosts of the laboratory: they take mail over STARTTLS and keep nothing but the count."""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Iterator

PORT = 25


class _Session(socketserver.StreamRequestHandler):
    """As much of SMTP as Postfix needs to get rid of a mail (RFC 5321, RFC 3207)."""

    server: _Sink

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._say("220 sink.test ESMTP")
            self._talk()

    def _talk(self) -> None:
        encrypted = False
        while command := self.rfile.readline().strip().upper():
            match command.split()[0]:
                case b"EHLO":
                    self._say("250 sink.test" if encrypted else "250-sink.test\r\n250 STARTTLS")
                case b"STARTTLS":
                    self._say("220 go ahead")
                    self._encrypt()
                    encrypted = True
                case b"DATA":
                    self._say("354 go ahead")
                    while self.rfile.readline().rstrip() != b".":
                        pass
                    self._say("250 taken")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _say(self, reply: str) -> None:
        self.wfile.write(reply.encode() + b"\r\n")

    def _encrypt(self) -> None:
        connection = self.server.context.wrap_socket(self.request, server_side=True)
        self.connection = self.request = connection
        self.rfile = connection.makefile("rb")
        self.wfile = connection.makefile("wb", buffering=0)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()


class _Sink(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__((address, PORT), _Session)
        self.context = context


@contextlib.contextmanager
def mail_host(address: str, context: ssl.SSLContext) -> Iterator[None]:
    """Takes mail at `address`, port 25, with this certificate. Needs root."""
    with _Sink(address, context) as sink:
        thread = threading.Thread(target=sink.serve_forever, args=(0.05,), name="mail host")
        thread.start()
        try:
            yield
        finally:
            sink.shutdown()
            thread.join()
