"""A mail server and a receiver of webhooks on loopback, which take, refuse or stay silent."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.socketmap.server.process import free_port


@dataclass
class Mailbox:
    """What arrived. `refuse`: the reply in place of taking it."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuse: str = ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.refuse:
            return self.refuse
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = message_from_bytes(content, policy=policy.default)
        self.mails.append(cast(EmailMessage, parsed))
        self.recipients += envelope.rcpt_tos
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    mailbox.port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, ready_timeout=30)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@contextmanager
def dripping_mail_server() -> Iterator[int]:
    """Greets in many lines, one now and then, and comes to no end; its port."""
    ended = threading.Event()

    def greet(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"220-a moment, please\r\n")

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=greet, args=(connection,)).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass
class Hook:
    """What was posted: headers and body. `status`: the answer; `seconds`: before it."""

    url: str = ""
    posts: list[tuple[dict[str, str], str]] = field(default_factory=list)
    status: int = 204
    location: str = ""
    drip: bool = False


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """Over TLS as "localhost", if there is a context for it."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            hook.posts.append((dict(self.headers), body))
            if hook.drip:
                self._drip()
                return
            self.send_response(hook.status)
            if hook.location:
                self.send_header("Location", hook.location)
            self.end_headers()

        def _drip(self) -> None:
            """An octet now and then, for longer than anybody should wait."""
            try:
                for _ in range(100):
                    self.wfile.write(b"H")
                    time.sleep(0.05)
            except OSError:
                return  # they have left, as they should

        def log_message(self, *args: Any) -> None:
            """Nobody wants to read it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        origin = "https://localhost" if tls else "http://127.0.0.1"
        hook.url = f"{origin}:{server.server_port}/hook?room=1"
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
