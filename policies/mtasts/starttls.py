"""A look at a mail host: does it offer STARTTLS, and does its certificate verify?

RFC 8461 section 4.2 asks for a certificate that leads to a trusted root, has not ended, and names
the MX host. No mail is sent: the conversation ends after the handshake.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from policies.mtasts.addresses import is_allowed
from policies.mtasts.causes import HANDSHAKE, Phase, fetch_error
from policies.mtasts.deadline import Deadline, LimitedSocket, LimitedTLSSocket
from policies.mtasts.dial import Slot, dial, no_limit
from policies.mtasts.dns import Resolver
from policies.mtasts.errors import CertificateError, DNSError, FetchError
from policies.mtasts.smtp import Reader, Reply, SMTPError
from policies.mtasts.tls import PeerCertificate, TrustStore, handshake, peer_certificate

NO_STARTTLS = "starttls-not-supported"
"""Of RFC 8460 section 4.3."""

_SMTP = Phase("smtp-timeout", "connection-closed")


@dataclass(frozen=True, slots=True)
class Probed:
    """What a mail host showed.

    `reason`: why it is not verified, empty where it is. `is_definite`: TLS itself fails there, for
    everybody; else it may be our network. `version`: of TLS.
    """

    host: str
    reason: str = ""
    message: str = ""
    is_definite: bool = True
    address: str = ""
    version: str = ""
    certificate: PeerCertificate | None = None

    @property
    def is_verified(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class MailProbe:
    """Probes mail hosts; one serves all threads.

    `ehlo`: the name that we give. `timeout`: seconds for one host, DNS included. The others are
    as of `https.PolicyFetcher`. Raises ValueError where `ca_file` cannot be used.
    """

    resolver: Resolver
    ehlo: str
    port: int = 25
    timeout: float = 20.0
    ca_file: str | None = None
    allow_private: bool = False
    slot: Slot = no_limit
    _roots: TrustStore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_roots", TrustStore(self.ca_file, alpn=()))

    def probe(self, host: str) -> Probed:
        """What `host`, a name as MX records have it, shows now. Raises nothing of the network."""
        deadline = Deadline(self.timeout)
        seen: list[PeerCertificate] = []
        address = ""
        try:
            with ExitStack() as held:
                addresses = self._addresses(host, deadline)
                address, sock = dial(addresses, self.port, deadline, held, self.slot)
                _ask_for_tls(sock, self.ehlo)
                stream = self._handshake(sock, host, seen)
                held.callback(stream.close)
                certificate, version = peer_certificate(stream), stream.version() or ""
                _leave(stream)
        except _SMTPFailure as failure:
            return Probed(host, failure.reason, str(failure), failure.is_definite, address)
        except FetchError as error:
            is_definite = isinstance(error, CertificateError) or error.reason.startswith("tls-")
            shown = seen[0] if seen else None
            return Probed(host, error.reason, str(error), is_definite, address, "", shown)
        return Probed(host, address=address, version=version, certificate=certificate)

    def _addresses(self, host: str, deadline: Deadline) -> list[str]:
        """Where the host may be reached. Raises FetchError."""
        try:
            found = self.resolver.addresses(host, deadline.remaining()).found
        except DNSError as error:
            raise FetchError(str(error), reason="mail-host-dns-temporary") from error
        allowed = [address for address in found if is_allowed(address, self.allow_private)]
        if not found:
            raise FetchError(f"{host} has no address", reason="mail-host-has-no-address")
        if not allowed:
            raise FetchError(
                f"{host} is at {', '.join(found)}, which is not on the public Internet",
                reason="address-not-allowed",
            )
        return allowed

    def _handshake(
        self, sock: LimitedSocket, host: str, seen: list[PeerCertificate]
    ) -> LimitedTLSSocket:
        try:
            return handshake(sock, host, self._roots.context(), seen.append)
        except OSError as error:
            raise fetch_error(error, HANDSHAKE) from error


class _SMTPFailure(Exception):
    """The host does not come to TLS."""

    def __init__(self, message: str, *, reason: str, is_definite: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_definite = is_definite


def _ask_for_tls(sock: LimitedSocket, ehlo: str) -> None:
    """Speak SMTP up to the point where TLS begins. Raises _SMTPFailure and FetchError."""
    reader = Reader()
    try:
        greeting = _next(sock, reader)
        if not greeting.is_positive:
            raise _SMTPFailure(str(greeting), reason=f"smtp-greeting-{greeting.code}")
        offered = _say(sock, reader, f"EHLO {ehlo}")
        if not offered.is_positive:
            raise _SMTPFailure(str(offered), reason=f"smtp-ehlo-{offered.code}")
        if not offered.offers("STARTTLS"):
            raise _SMTPFailure(
                "the host does not offer STARTTLS", reason=NO_STARTTLS, is_definite=True
            )
        go = _say(sock, reader, "STARTTLS")
        if not go.is_positive:
            raise _SMTPFailure(str(go), reason=f"smtp-starttls-{go.code}")
        if not reader.is_empty:
            raise _SMTPFailure("something was sent before TLS", reason="smtp-injection")
    except SMTPError as error:
        raise _SMTPFailure(str(error), reason="malformed-smtp-reply") from error
    except OSError as error:
        raise fetch_error(error, _SMTP) from error


def _say(sock: LimitedSocket, reader: Reader, command: str) -> Reply:
    sock.sendall(f"{command}\r\n".encode("ascii"))
    return _next(sock, reader)


def _next(sock: LimitedSocket, reader: Reader) -> Reply:
    buffer = bytearray(4096)
    while (reply := reader.reply()) is None:
        count = sock.recv_into(buffer)
        if not count:
            raise ConnectionResetError("the host ended the connection")
        reader.feed(bytes(buffer[:count]))
    return reply


def _leave(stream: LimitedTLSSocket) -> None:
    try:
        stream.sendall(b"QUIT\r\n")
    except OSError:
        return  # it hung up first, and we know what we came for
