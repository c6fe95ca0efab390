"""What the policy host can do with a connection: one class for each way to behave.

    host.behaviour = replies.Serve(status=500)
    host.behaviour = replies.Drip("body", interval=0.01)
    host.behaviour = replies.Held(gate)

What the certificate says is not chosen here but with `host.certificate`.
"""

from __future__ import annotations

import gzip
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from tests.lab.connection import Connection
from tests.lab.gate import Gate
from tests.lab.log import Request
from tests.lab.turns import Turns

WELL_KNOWN = "/.well-known/mta-sts.txt"
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
SHORTFALL = 10


@dataclass(frozen=True, slots=True)
class Site:
    """What is served under one server name, as it was when the connection came in."""

    context: ssl.SSLContext
    policy: bytes | None


class Behaviour:
    """The course of a connection whose ClientHello was read; subclasses bend one step of it."""

    __slots__ = ()

    def greet(self, connection: Connection, site: Site) -> None:
        """From the ClientHello to the end of the handshake."""
        connection.handshake(site.context)

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        """From the request to the end of the connection."""
        GOOD.answer(connection, site, request)


@dataclass(frozen=True, slots=True)
class Serve(Behaviour):
    """Answers the request; 404 where the site has no policy or the path is another one.

    `body` is the policy unless given, whatever the status: a status is to be refused for
    itself. `content_type` None leaves that header out; `headers` are added. `framing` is how
    the end of the body is known: its length, chunks, the end of the TLS session ("close"), the
    end of TCP alone ("cut"), or a length that is ten bytes too great ("short").
    """

    status: int = HTTPStatus.OK
    body: bytes | None = None
    content_type: str | None = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Literal["length", "chunked", "close", "cut", "short"] = "length"
    gzip: bool = False

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        connection.send(b"".join(self.response(site, request)))
        connection.finish(close_notify=self.framing != "cut")

    def response(self, site: Site, request: Request) -> tuple[bytes, bytes]:
        """Head and body of the response."""
        body = site.policy if self.body is None else self.body
        if body is None or request.path != WELL_KNOWN:
            return _head(HTTPStatus.NOT_FOUND, {"Content-Length": "0"}), b""
        headers = {"Content-Type": self.content_type} if self.content_type is not None else {}
        headers.update(self.headers)
        if self.status in BODILESS:
            return _head(self.status, headers), b""
        if self.gzip:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        return _head(self.status, headers | self._framing_header(body)), self._framed(body)

    def _framing_header(self, body: bytes) -> dict[str, str]:
        match self.framing:
            case "length":
                return {"Content-Length": str(len(body))}
            case "short":
                return {"Content-Length": str(len(body) + SHORTFALL)}
            case "chunked":
                return {"Transfer-Encoding": "chunked"}
            case "close" | "cut":
                return {}

    def _framed(self, body: bytes) -> bytes:
        if self.framing != "chunked":
            return body
        middle = len(body) // 2
        chunks = [chunk for chunk in (body[:middle], body[middle:]) if chunk]
        return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


GOOD = Serve()


def redirect(location: str, status: int = HTTPStatus.MOVED_PERMANENTLY) -> Serve:
    """Points elsewhere."""
    return Serve(status=status, headers={"Location": location})


def policy_of_size(size: int, policy: str) -> str:
    """The policy with an extension field at its end that makes it exactly `size` bytes long."""
    start = policy + "lab_padding: "
    return start + "x" * (size - len(start) - 1) + "\n"


@dataclass(frozen=True, slots=True)
class Drip(Behaviour):
    """One part comes byte by byte, `interval` seconds apart; what comes before it, at once."""

    part: Literal["handshake", "headers", "body"]
    interval: float = 0.05

    def greet(self, connection: Connection, site: Site) -> None:
        drip = self.interval if self.part == "handshake" else None
        connection.handshake(site.context, drip=drip)

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        head, body = GOOD.response(site, request)
        connection.send(head, drip=self.interval if self.part == "headers" else None)
        connection.send(body, drip=self.interval if self.part == "body" else None)
        connection.finish()


@dataclass(frozen=True, slots=True)
class Endless(Behaviour):
    """One part never ends: a piece each `interval` seconds, for as long as the client takes it."""

    part: Literal["continues", "headers", "header line", "body"]
    interval: float = 0.01

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        start, piece = _ENDLESS[self.part]
        connection.send(start)
        while True:
            connection.send(piece)
            connection.pause(self.interval)


@dataclass(frozen=True, slots=True)
class HugeHeader(Behaviour):
    """A good answer behind one header line of `size` bytes."""

    size: int = 100_000

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        filling = "x" * (self.size - len("X-Huge: \r\n"))
        Serve(headers={"X-Huge": filling}).answer(connection, site, request)


@dataclass(frozen=True, slots=True)
class Silence(Behaviour):
    """Says nothing more from that point on, and keeps the connection."""

    after: Literal["accept", "handshake", "half the body"]

    def greet(self, connection: Connection, site: Site) -> None:
        if self.after == "accept":
            connection.wait_until_gone()
            return
        connection.handshake(site.context)

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        if self.after == "half the body":
            connection.send(_half(site, request))
        connection.wait_until_gone()


@dataclass(frozen=True, slots=True)
class Reset(Behaviour):
    """Breaks off with a TCP reset."""

    after: Literal["accept", "handshake", "half the body"]

    def greet(self, connection: Connection, site: Site) -> None:
        if self.after == "accept":
            connection.reset()
            return
        connection.handshake(site.context)
        if self.after == "handshake":
            connection.reset()

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        connection.send(_half(site, request))
        connection.reset()


@dataclass(frozen=True, slots=True)
class PlainHTTP(Behaviour):
    """Answers the ClientHello with HTTP in the clear."""

    def greet(self, connection: Connection, site: Site) -> None:
        connection.send(_head(HTTPStatus.BAD_REQUEST, {"Content-Length": "0"}))
        connection.finish()


@dataclass(frozen=True, slots=True)
class Alert(Behaviour):
    """Refuses the ClientHello with a fatal TLS alert: 40 handshake failure, 70 protocol version,
    112 unrecognized name …"""

    code: int

    def greet(self, connection: Connection, site: Site) -> None:
        connection.send(bytes((21, 3, 3, 0, 2, 2, self.code)))
        connection.finish()


@dataclass(frozen=True, slots=True)
class OldTLS(Behaviour):
    """Chooses TLS 1.1, as a server does that knows no later version."""

    def greet(self, connection: Connection, site: Site) -> None:
        version, cipher = b"\x03\x02", b"\xc0\x13"
        hello = version + os.urandom(32) + b"\0" + cipher + b"\0"
        message = b"\x02" + len(hello).to_bytes(3) + hello
        connection.send(b"\x16" + version + len(message).to_bytes(2) + message)
        connection.finish()


@dataclass(frozen=True, slots=True)
class Held(Behaviour):
    """Answers as `then` does once the gate is open."""

    gate: Gate
    then: Behaviour = GOOD

    def greet(self, connection: Connection, site: Site) -> None:
        self.then.greet(connection, site)

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        self.gate.pass_through()
        self.then.answer(connection, site, request)


class InTurn(Behaviour):
    """Each connection gets the next behaviour; the last one stays."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._turns = Turns(*behaviours)

    def next(self) -> Behaviour:
        """The behaviour for one more connection."""
        return self._turns.next()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _half(site: Site, request: Request) -> bytes:
    head, body = GOOD.response(site, request)
    return head + body[: len(body) // 2]


_STATUS_LINE = b"HTTP/1.1 200 OK\r\n"
_ENDLESS = {
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": (_STATUS_LINE, b"X-More: and more\r\n"),
    "header line": (_STATUS_LINE + b"X-Long: ", b"and more " * 100),
    "body": (_STATUS_LINE + b"Content-Type: text/plain\r\n\r\n", b"mx: mx.example.test\n" * 100),
}
