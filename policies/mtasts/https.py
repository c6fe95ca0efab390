"""The policy of a domain, fetched from its policy host (RFC 8461 section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from urllib3.response import BaseHTTPResponse

from policies.mtasts.addresses import is_allowed
from policies.mtasts.causes import BODY, HANDSHAKE, HEAD, fetch_error
from policies.mtasts.deadline import Deadline
from policies.mtasts.dial import Slot, dial, no_limit
from policies.mtasts.dns import Resolver
from policies.mtasts.domain import Domain
from policies.mtasts.errors import (
    DNSError,
    DomainNameError,
    FetchError,
    NoPolicyError,
    PolicySyntaxError,
)
from policies.mtasts.policy import Policy, parse_policy
from policies.mtasts.proxy import Proxy
from policies.mtasts.tls import (
    PeerCertificate,
    TLSStream,
    TrustStore,
    peer_certificate,
    start_tls,
)
from policies.mtasts.transport import EXCHANGE_ERRORS, send_get

PATH = "/.well-known/mta-sts.txt"

MAX_POLICY = 65536
"""Octets of a policy (RFC 8461 section 3.3 suggests 64 KB)."""

SHOWN_HEADERS = ("Content-Type", "Content-Length", "Content-Encoding", "Location", "Server")
"""What decides whether an answer is a policy, and what helps to find who gave another one."""

_REDIRECTS = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}


class StepKind(StrEnum):
    """What a fetch finds on its way, in this order."""

    ADDRESSES = "addresses"
    CONNECTED = "connected"
    CERTIFICATE = "certificate"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Step:
    """One finding: the addresses, the one that answered, the certificate's end, the status.

    `certificate`: of CERTIFICATE, also where it is refused. `headers`: of STATUS, those of
    `SHOWN_HEADERS` that came.
    """

    kind: StepKind
    detail: str
    certificate: PeerCertificate | None = None
    headers: tuple[tuple[str, str], ...] = ()


OnStep = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class FetchedPolicy:
    """A policy as served.

    `address` and `certificate` are the policy host's, the address None behind a proxy.
    """

    policy: Policy
    text: str
    certificate: PeerCertificate
    address: str | None

    @property
    def certificate_not_after(self) -> datetime:
        """When the certificate ends, in UTC."""
        return self.certificate.not_after


def _unseen(step: Step) -> None:
    """An `OnStep` for those who only want the result."""


@dataclass(frozen=True, slots=True)
class PolicyFetcher:
    """Fetches policies over HTTPS; one serves all threads.

    `timeout`: seconds for all of a fetch, from the DNS question to the last octet.
    `ca_file`: PEM of trusted roots, else the system's. `allow_private`: policy hosts may have
    loopback, private and link-local addresses. `proxy`: URL of an HTTP proxy, which resolves by
    itself, so that neither `resolver`, `allow_private` nor `slot` applies. `contact`: mail
    address for whoever reads the policy host's log. `slot`: see `dial.Slot`.
    Raises ValueError where `ca_file` or `proxy` cannot be used.
    """

    resolver: Resolver
    port: int = 443
    timeout: float = 60.0
    ca_file: str | None = None
    allow_private: bool = False
    proxy: str | None = field(default=None, repr=False)
    user_agent: str = "mtastsweb"
    contact: str | None = None
    slot: Slot = no_limit
    _roots: TrustStore = field(init=False, repr=False, compare=False)
    _proxy: Proxy | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_roots", TrustStore(self.ca_file))
        object.__setattr__(self, "_proxy", Proxy.parse(self.proxy) if self.proxy else None)

    def fetch(self, domain: Domain, on_step: OnStep = _unseen) -> FetchedPolicy:
        """The policy that the policy host of `domain` serves now.

        Raises NoPolicyError, CertificateError, FetchError, and PolicySyntaxError with `received`
        set; each has the `certificate` where one was seen. `on_step` is told what is found on the
        way, also before a failure.
        """
        try:
            host = domain.policy_host
        except DomainNameError as error:
            raise NoPolicyError(str(error)) from error
        deadline = Deadline(self.timeout)
        certificate: PeerCertificate | None = None

        def watch(step: Step) -> None:
            nonlocal certificate
            certificate = step.certificate or certificate
            on_step(step)

        try:
            with ExitStack() as held:
                address, stream = self._open(host, deadline, held, watch)
                verified = peer_certificate(stream)
                watch(_certificate_step(verified))
                body = self._get(host, stream, watch)
            return FetchedPolicy(_parsed(body), body.decode(), verified, address)
        except (FetchError, PolicySyntaxError) as error:
            error.certificate = certificate
            raise

    def _open(
        self, host: str, deadline: Deadline, held: ExitStack, on_step: OnStep
    ) -> tuple[str | None, TLSStream]:
        """The address connected to and the connection, its certificate verified."""
        context = self._roots.context()
        address = None
        if self._proxy:
            sock = self._proxy.tunnel(host, self.port, deadline, context, held)
        else:
            addresses = self._addresses(host, on_step)
            address, sock = dial(addresses, self.port, deadline, held, self.slot)
            on_step(Step(StepKind.CONNECTED, address))
        try:
            stream = start_tls(
                sock, host, context, lambda refused: on_step(_certificate_step(refused))
            )
        except OSError as error:
            raise fetch_error(error, HANDSHAKE) from error
        held.callback(stream.close)
        return address, stream

    def _addresses(self, host: str, on_step: OnStep) -> list[str]:
        """Where to connect to, in the order to try."""
        try:
            found = self.resolver.addresses(host, self.timeout).found
        except DNSError as error:
            raise FetchError(str(error), reason="policy-host-dns-temporary") from error
        if not found:
            raise NoPolicyError(f"{host} has no address")
        on_step(Step(StepKind.ADDRESSES, ", ".join(found)))
        allowed = [address for address in found if is_allowed(address, self.allow_private)]
        if not allowed:
            raise FetchError(
                f"{host} is at {', '.join(found)}, which is not on the public Internet",
                reason="address-not-allowed",
            )
        return allowed

    def _get(self, host: str, stream: TLSStream, on_step: OnStep) -> bytes:
        """The body of a good answer, at most MAX_POLICY octets."""
        try:
            response = send_get(stream, host, self.port, PATH, self._headers())
        except EXCHANGE_ERRORS as error:
            raise fetch_error(error, HEAD) from error
        with closing(response):
            headers = ((name, response.headers.get(name)) for name in SHOWN_HEADERS)
            shown = tuple((name, value) for name, value in headers if value is not None)
            on_step(Step(StepKind.STATUS, str(response.status), headers=shown))
            _check_head(response)
            try:
                return _read(response)
            except EXCHANGE_ERRORS as error:
                raise fetch_error(error, BODY) from error

    def _headers(self) -> dict[str, str]:
        comment = f" (+mailto:{self.contact})" if self.contact else ""
        return {
            "User-Agent": f"{self.user_agent}{comment}",
            "Accept": "text/plain",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }


def _certificate_step(certificate: PeerCertificate) -> Step:
    return Step(StepKind.CERTIFICATE, certificate.not_after.isoformat(), certificate)


def _check_head(response: BaseHTTPResponse) -> None:
    """Raises FetchError unless the answer may hold a policy."""
    status = response.status
    if status == HTTPStatus.NOT_FOUND:
        raise NoPolicyError("the policy host answers 404")
    if status in _REDIRECTS:
        raise FetchError(
            f"the policy host redirects ({status})", reason="http-redirect-not-allowed"
        )
    if status != HTTPStatus.OK:
        raise FetchError(f"the policy host answers {status}", reason=f"http-status-{status}")
    media_type = response.headers.get("Content-Type")
    if media_type is not None and _bare(media_type) != "text/plain":
        raise FetchError(
            f"the Content-Type is {media_type!r}", reason="content-type-not-text-plain"
        )
    encoding = response.headers.get("Content-Encoding", "identity")
    if _bare(encoding) != "identity":
        raise FetchError(
            f"the Content-Encoding is {encoding!r}", reason="content-encoding-not-identity"
        )


def _bare(value: str) -> str:
    """A header's value without its parameters, in lower case."""
    return value.partition(";")[0].strip(" \t").lower()


def _read(response: BaseHTTPResponse) -> bytes:
    """The body, as it came. Raises FetchError where it is longer than a policy may be."""
    body = b""
    while piece := response.read(MAX_POLICY + 1 - len(body), decode_content=False):
        body += piece
        if len(body) > MAX_POLICY:
            raise FetchError(
                f"the policy has more than {MAX_POLICY} octets", reason="policy-too-large"
            )
    return body


def _parsed(body: bytes) -> Policy:
    try:
        return parse_policy(body)
    except PolicySyntaxError as error:
        error.received = body.decode(errors="replace")
        raise
