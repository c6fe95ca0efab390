"""What each failure of a fetch is called: tables from Python's exceptions to reasons.

RFC 8460 section 4.3 names a few certificate failures; the finer words follow Go's libraries,
whose reports exist in numbers, so that receivers see one word for one thing.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead

from policies.mtasts.deadline import ReceivedTooMuchError
from policies.mtasts.errors import CertificateError, FetchError


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a fetch, and what its failures are called."""

    timeout: str
    closed: str
    too_much: str = "response-too-large"


CONNECT = Phase("connect-timeout", "connection-closed")
HANDSHAKE = Phase("io-timeout-during-handshake", "connection-closed-during-handshake")
HEAD = Phase("policy-fetch-timeout", "connection-closed", "response-headers-too-large")
BODY = Phase("policy-fetch-timeout", "response-cut-short", "policy-too-large")

_MALFORMED = "malformed-http-response"
_NOT_TRUSTED = "certificate-not-trusted"

# X509_V_ERR_… of OpenSSL, by number.
_CERTIFICATE_REASONS = {
    9: "certificate-not-yet-valid",
    10: "certificate-expired",
    13: "certificate-not-yet-valid",
    14: "certificate-expired",
    62: "certificate-host-mismatch",
    64: "certificate-host-mismatch",
} | {
    code: f"{_NOT_TRUSTED}+{detail}"
    for detail, codes in {
        "unable-to-get-issuer": (2,),
        "signature-failure": (7,),
        "self-signed": (18,),
        "self-signed-in-chain": (19,),
        "unable-to-get-local-issuer": (20,),
        "unable-to-verify-leaf-signature": (21,),
        "too-many-intermediates": (22, 25),
        "certificate-revoked": (23,),
        "not-authorized-to-sign": (24, 32, 37, 79),
        "incompatible-key-usage": (26,),
        "untrusted": (27,),
        "parent-subject-child-issuer-mismatch": (29, 30, 31),
        "ca-not-authorized-for-this-name": (47, 48),
        "too-many-constraints": (49,),
        "name-constraint-without-sans": (51, 52, 53),
        "key-too-weak": (66, 67),
        "signature-digest-too-weak": (68,),
    }.items()
    for code in codes
}

# OpenSSL's name of an alert, its number (RFC 8446 section 6) and what reports call it.
_ALERTS = {
    "UNEXPECTED_MESSAGE": (10, "unexpected-message"),
    "BAD_RECORD_MAC": (20, "bad-record-MAC"),
    "RECORD_OVERFLOW": (22, "record-overflow"),
    "HANDSHAKE_FAILURE": (40, "handshake-failure"),
    "BAD_CERTIFICATE": (42, "bad-certificate"),
    "UNSUPPORTED_CERTIFICATE": (43, "unsupported-certificate"),
    "CERTIFICATE_REVOKED": (44, "revoked-certificate"),
    "CERTIFICATE_EXPIRED": (45, "expired-certificate"),
    "CERTIFICATE_UNKNOWN": (46, "unknown-certificate"),
    "ILLEGAL_PARAMETER": (47, "illegal-parameter"),
    "UNKNOWN_CA": (48, "unknown-certificate-authority"),
    "ACCESS_DENIED": (49, "access-denied"),
    "DECODE_ERROR": (50, "error-decoding-message"),
    "DECRYPT_ERROR": (51, "error-decrypting-message"),
    "PROTOCOL_VERSION": (70, "protocol-version-not-supported"),
    "INSUFFICIENT_SECURITY": (71, "insufficient-security-level"),
    "INTERNAL_ERROR": (80, "internal-error"),
    "INAPPROPRIATE_FALLBACK": (86, "inappropriate-fallback"),
    "USER_CANCELLED": (90, "user-canceled"),
    "NO_RENEGOTIATION": (100, "no-renegotiation"),
    "MISSING_EXTENSION": (109, "missing-extension"),
    "UNSUPPORTED_EXTENSION": (110, "unsupported-extension"),
    "UNRECOGNIZED_NAME": (112, "unrecognized-name"),
    "BAD_CERTIFICATE_STATUS_RESPONSE": (113, "bad-certificate-status-response"),
    "UNKNOWN_PSK_IDENTITY": (115, "unknown-PSK-identity"),
    "CERTIFICATE_REQUIRED": (116, "certificate-required"),
    "NO_APPLICATION_PROTOCOL": (120, "no-application-protocol"),
}
_ALERT = re.compile(r"(?:SSLV3_ALERT|TLSV1_ALERT|TLSV13_ALERT|TLSV1)_(\w+)")

_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}

_CLOSED = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    IncompleteRead,
)
_ERRNO_REASONS = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ENETUNREACH: "network-unreachable",
    errno.EHOSTUNREACH: "network-unreachable",
    errno.EADDRNOTAVAIL: "network-unreachable",
    errno.ENETDOWN: "network-unreachable",
}


def fetch_error(error: Exception, phase: Phase) -> FetchError:
    """The named error that `error`, raised in `phase`, comes down to."""
    cause = next(_causes(error), None)
    if cause is None:
        return FetchError(str(error), reason=_MALFORMED)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CertificateError(cause.verify_message, reason=_certificate_reason(cause.verify_code))
    return FetchError(f"{type(cause).__name__}: {cause}", reason=_reason(cause, phase))


def _causes(error: BaseException) -> Iterator[OSError | HTTPException]:
    """The errors of sockets, TLS and http.client inside `error`, outermost first.

    urllib3 wraps them, some of them twice.
    """
    queue: list[object] = [error]
    for candidate in queue:
        if not isinstance(candidate, BaseException):
            continue
        if isinstance(candidate, OSError | HTTPException):
            yield candidate
        inner = (
            candidate.__cause__,
            candidate.__context__,
            getattr(candidate, "reason", None),
            *candidate.args,
        )
        queue += [found for found in inner if not any(found is known for known in queue)]


def _reason(cause: Exception, phase: Phase) -> str:
    if isinstance(cause, TimeoutError):
        return phase.timeout
    if isinstance(cause, ReceivedTooMuchError):
        return phase.too_much
    if isinstance(cause, _CLOSED) or (isinstance(cause, OSError) and cause.errno == errno.ENOTCONN):
        return phase.closed
    if isinstance(cause, ssl.SSLError):
        return _tls_reason(cause.reason or "UNKNOWN")
    if isinstance(cause, OSError):
        return _ERRNO_REASONS.get(cause.errno or 0, "network-error")
    return _MALFORMED


def _certificate_reason(code: int) -> str:
    return _CERTIFICATE_REASONS.get(code, f"{_NOT_TRUSTED}+x509-v-err-{code}")


def _tls_reason(name: str) -> str:
    if name in _NOT_TLS:
        return "tls-record-header-error"
    alert = _ALERT.fullmatch(name)
    if alert and alert[1] in _ALERTS:
        number, text = _ALERTS[alert[1]]
        return f"tls-remote-alert-{number}-{text}"
    return f"tls-local-{name.lower().replace('_', '-')}"
