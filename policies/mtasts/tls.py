"""Whom to trust, and the TLS handshake with a policy host (RFC 8461 sections 3.3 and 7)."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import certifi
from urllib3.util.ssltransport import SSLTransport

from policies.mtasts.deadline import LimitedSocket, LimitedTLSSocket

log = logging.getLogger(__name__)

TLSStream = LimitedTLSSocket | SSLTransport


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a policy host's certificate says. `names`: its DNS-IDs; the times are in UTC."""

    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


OnRefused = Callable[[PeerCertificate], None]


def ignore(certificate: PeerCertificate) -> None:
    """An `OnRefused` for those who only want the error."""


class TrustStore:
    """The roots that certificates have to lead to, in one SSLContext for all connections.

    Loading roots costs ten times what the rest of a fetch does. `ca_file` is a PEM file, reread
    when it changes; without one the system's store counts, else certifi's.
    `alpn`: the protocols that are offered. Raises ValueError where that leaves no root at all.
    """

    def __init__(
        self,
        ca_file: str | os.PathLike[str] | None = None,
        alpn: tuple[str, ...] = ("http/1.1",),
    ) -> None:
        self._alpn = alpn
        self._file = Path(ca_file) if ca_file else None
        self._lock = threading.Lock()
        self._version = _version(self._file)
        self._context = self._offering(_from_file(self._file) if self._file else _from_system())

    def context(self) -> ssl.SSLContext:
        """The context to use now. A changed file that cannot be read changes nothing."""
        with self._lock:
            version = _version(self._file)
            if version != self._version:
                self._version = version
                self._reread(cast(Path, self._file))
            return self._context

    def _offering(self, context: ssl.SSLContext) -> ssl.SSLContext:
        if self._alpn:
            context.set_alpn_protocols(list(self._alpn))
        return context

    def _reread(self, file: Path) -> None:
        try:
            self._context = self._offering(_from_file(file))
        except ValueError as error:
            log.error("trusted roots stay as they were: %s", error)


def start_tls(
    sock: LimitedSocket | LimitedTLSSocket,
    host: str,
    context: ssl.SSLContext,
    on_refused: OnRefused = ignore,
) -> TLSStream:
    """TLS with `host` over `sock`, which is TLS already behind a proxy spoken to over TLS.

    A peer that ends without close_notify is an error from here on: whoever sits on the path can
    end a connection, and so cut a policy short. `on_refused` is told of a certificate that does
    not verify, where it can be had: not behind a proxy spoken to over TLS. Raises OSError.
    """
    if isinstance(sock, LimitedSocket):
        return handshake(sock, host, context, on_refused)
    return SSLTransport(sock, context, server_hostname=host, suppress_ragged_eofs=False)


def handshake(
    sock: LimitedSocket, host: str, context: ssl.SSLContext, on_refused: OnRefused = ignore
) -> LimitedTLSSocket:
    """TLS with `host` over TCP, in place of `sock`. Raises OSError."""
    limits = sock.limits
    stream = cast(
        LimitedTLSSocket,
        context.wrap_socket(
            sock,
            server_hostname=host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        ),
    )
    stream.limits = limits
    try:
        stream.do_handshake()
    except ssl.SSLCertVerificationError:
        refused = _refused(stream)
        stream.close()
        if refused is not None:
            on_refused(refused)
        raise
    except OSError:
        stream.close()
        raise
    return stream


def peer_certificate(stream: TLSStream) -> PeerCertificate:
    """The certificate of the peer, which has been verified."""
    return _peer_certificate(cast(dict[str, Any], stream.getpeercert()))


def _refused(stream: LimitedTLSSocket) -> PeerCertificate | None:
    """The certificate that did not verify, for whoever has to mend it.

    `getpeercert` tells nothing of it. The object below, which has no public name, does, in the
    same form; where a Python lacks it nothing is shown.
    """
    connection = getattr(stream, "_sslobj", None)
    read_chain = getattr(connection, "get_unverified_chain", None)
    try:
        chain = read_chain() if read_chain else None
        return _peer_certificate(chain[0].get_info()) if chain else None
    except (OSError, ValueError, LookupError):  # whoever sends a bad one may send a broken one
        return None


def _peer_certificate(fields: Mapping[str, Any]) -> PeerCertificate:
    issuer = {name: value for part in fields.get("issuer", ()) for name, value in part}
    shown = ("commonName", "organizationName")
    return PeerCertificate(
        issuer=", ".join(issuer[name] for name in shown if name in issuer),
        names=tuple(value for kind, value in fields.get("subjectAltName", ()) if kind == "DNS"),
        not_before=_time(fields["notBefore"]),
        not_after=_time(fields["notAfter"]),
    )


@lru_cache(maxsize=1024)  # a provider's certificates are made in the same minute
def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _context(load: Callable[[ssl.SSLContext], None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = LimitedTLSSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    # Python 3.13 turns this on, and roots of closed networks often fail it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # openssl.cnf may turn this on, and it hides a missing close_notify.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    load(context)
    return context


def _from_file(file: Path) -> ssl.SSLContext:
    try:
        context = _context(lambda fresh: fresh.load_verify_locations(cafile=file))
    except OSError as error:
        raise ValueError(
            f"the file of trusted roots {file} cannot be read: {error};"
            " expected certificates in PEM form"
        ) from error
    if not context.cert_store_stats()["x509"]:
        raise ValueError(f"the file of trusted roots {file} holds no certificate")
    return context


def _from_system() -> ssl.SSLContext:
    context = _context(ssl.SSLContext.set_default_verify_paths)
    if context.cert_store_stats()["x509_ca"] or _holds_hashed_roots():
        return context
    return _from_file(Path(certifi.where()))


def _holds_hashed_roots() -> bool:
    """Whether OpenSSL's directory of roots has any: it reads them when it needs them."""
    directory = ssl.get_default_verify_paths().capath
    return directory is not None and any(Path(directory).glob("????????.[0-9]*"))


def _version(file: Path | None) -> tuple[int, int] | None:
    """What changes when `file` does; None where there is none, or none now."""
    try:
        stat = file.stat() if file else None
    except OSError:
        stat = None
    return (stat.st_mtime_ns, stat.st_ino) if stat else None
