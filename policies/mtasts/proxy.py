"""A tunnel through an HTTP proxy (RFC 9110 section 9.3.6).

The proxy finds the policy host by itself, so nobody vets the addresses: which hosts may be
reached is for the proxy's own rules to say.
"""

from __future__ import annotations

import base64
import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from urllib.parse import unquote, urlsplit

from policies.mtasts.causes import HANDSHAKE, HEAD, fetch_error
from policies.mtasts.deadline import Deadline, LimitedSocket, LimitedTLSSocket
from policies.mtasts.dial import dial
from policies.mtasts.errors import FetchError
from policies.mtasts.tls import handshake

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, spoken to over TLS where `tls` is set.

    `credentials`: "user:password", or empty.
    """

    host: str
    port: int
    tls: bool = False
    credentials: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """The proxy at `url`; raises ValueError unless it is http or https, host, perhaps port."""
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path.strip("/"):
            # The URL itself stays out of the message: it may hold a password.
            raise ValueError("that is no proxy; expected http://host:port or https://host:port")
        credentials = ""
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        return cls(parts.hostname, port, parts.scheme == "https", credentials)

    def tunnel(
        self, host: str, port: int, deadline: Deadline, context: ssl.SSLContext, held: ExitStack
    ) -> LimitedSocket | LimitedTLSSocket:
        """A connection to `host` through the proxy, which `held` closes.

        Raises FetchError, its reason led by "proxy-": the domain is not to blame.
        """
        try:
            stream = self._open(deadline, context, held)
            status = self._connect(stream, host, port)
        except FetchError as error:
            raise FetchError(str(error), reason=f"proxy-{error.reason}") from error
        if status != 200:
            raise FetchError(f"the proxy answered {status}", reason=f"proxy-http-status-{status}")
        return stream

    def _open(
        self, deadline: Deadline, context: ssl.SSLContext, held: ExitStack
    ) -> LimitedSocket | LimitedTLSSocket:
        _, sock = dial(self._addresses(), self.port, deadline, held)
        if not self.tls:
            return sock
        try:
            stream = handshake(sock, self.host, context)
        except OSError as error:
            raise fetch_error(error, HANDSHAKE) from error
        held.callback(stream.close)
        return stream

    def _addresses(self) -> list[str]:
        """The proxy's addresses, from the system: it may stand in a hosts file."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise FetchError(f"{self.host}: {error}", reason="host-not-found") from error
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def _connect(self, stream: LimitedSocket | LimitedTLSSocket, host: str, port: int) -> int:
        """The status of the proxy's answer to CONNECT."""
        lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
        if self.credentials:
            encoded = base64.b64encode(self.credentials.encode()).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        try:
            stream.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
            with HTTPResponse(stream, method="CONNECT") as response:
                response.begin()
                return response.status
        except (OSError, HTTPException) as error:
            raise fetch_error(error, HEAD) from error
