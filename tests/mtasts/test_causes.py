"""What the exceptions of Python's libraries are called."""

from __future__ import annotations

import errno
import http.client
import ssl

import pytest
import urllib3.exceptions

from policies.mtasts.causes import BODY, CONNECT, HANDSHAKE, HEAD, Phase, fetch_error
from policies.mtasts.deadline import ReceivedTooMuchError
from policies.mtasts.errors import CertificateError


def refused(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = f"verification failed with {code}"
    return error


def tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason  # type: ignore[assignment]  # None where OpenSSL gives no reason
    return error


def wrapped(cause: Exception) -> Exception:
    """`cause` as deep as urllib3 puts it."""
    inner = urllib3.exceptions.SSLError(cause)
    return urllib3.exceptions.MaxRetryError(urllib3.HTTPSConnectionPool("policy-host"), "/", inner)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, "certificate-not-yet-valid"),
        (10, "certificate-expired"),
        (13, "certificate-not-yet-valid"),
        (14, "certificate-expired"),
        (62, "certificate-host-mismatch"),
        (64, "certificate-host-mismatch"),
        (2, "certificate-not-trusted+unable-to-get-issuer"),
        (7, "certificate-not-trusted+signature-failure"),
        (18, "certificate-not-trusted+self-signed"),
        (19, "certificate-not-trusted+self-signed-in-chain"),
        (20, "certificate-not-trusted+unable-to-get-local-issuer"),
        (21, "certificate-not-trusted+unable-to-verify-leaf-signature"),
        (22, "certificate-not-trusted+too-many-intermediates"),
        (23, "certificate-not-trusted+certificate-revoked"),
        (24, "certificate-not-trusted+not-authorized-to-sign"),
        (25, "certificate-not-trusted+too-many-intermediates"),
        (26, "certificate-not-trusted+incompatible-key-usage"),
        (27, "certificate-not-trusted+untrusted"),
        (29, "certificate-not-trusted+parent-subject-child-issuer-mismatch"),
        (32, "certificate-not-trusted+not-authorized-to-sign"),
        (47, "certificate-not-trusted+ca-not-authorized-for-this-name"),
        (48, "certificate-not-trusted+ca-not-authorized-for-this-name"),
        (49, "certificate-not-trusted+too-many-constraints"),
        (51, "certificate-not-trusted+name-constraint-without-sans"),
        (66, "certificate-not-trusted+key-too-weak"),
        (68, "certificate-not-trusted+signature-digest-too-weak"),
        (79, "certificate-not-trusted+not-authorized-to-sign"),
        (1, "certificate-not-trusted+x509-v-err-1"),
        (92, "certificate-not-trusted+x509-v-err-92"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda error: error, wrapped])
def test_a_refused_certificate_is_named(code: int, reason: str, wrap: object) -> None:
    assert callable(wrap)
    error = fetch_error(wrap(refused(code)), HANDSHAKE)
    assert isinstance(error, CertificateError)
    assert error.reason == reason
    assert str(error) == f"verification failed with {code}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls-remote-alert-40-handshake-failure"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "tls-remote-alert-42-bad-certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "tls-remote-alert-45-expired-certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "tls-remote-alert-48-unknown-certificate-authority"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tls-remote-alert-70-protocol-version-not-supported"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "tls-remote-alert-80-internal-error"),
        ("TLSV1_UNRECOGNIZED_NAME", "tls-remote-alert-112-unrecognized-name"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "tls-remote-alert-116-certificate-required"),
        ("TLSV1_ALERT_NO_APPLICATION_PROTOCOL", "tls-remote-alert-120-no-application-protocol"),
        ("TLSV1_ALERT_OF_THE_FUTURE", "tls-local-tlsv1-alert-of-the-future"),
        ("UNSUPPORTED_PROTOCOL", "tls-local-unsupported-protocol"),
        ("DH_KEY_TOO_SMALL", "tls-local-dh-key-too-small"),
        ("WRONG_VERSION_NUMBER", "tls-record-header-error"),
        ("HTTP_REQUEST", "tls-record-header-error"),
        ("PACKET_LENGTH_TOO_LONG", "tls-record-header-error"),
        (None, "tls-local-unknown"),
    ],
)
def test_a_failure_of_tls_is_named(name: str | None, reason: str) -> None:
    assert fetch_error(tls(name), HANDSHAKE).reason == reason
    assert fetch_error(wrapped(tls(name)), HEAD).reason == reason


@pytest.mark.parametrize(
    ("error", "phase", "reason"),
    [
        (TimeoutError(), CONNECT, "connect-timeout"),
        (TimeoutError(), HANDSHAKE, "io-timeout-during-handshake"),
        (TimeoutError(), HEAD, "policy-fetch-timeout"),
        (TimeoutError(), BODY, "policy-fetch-timeout"),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), CONNECT, "connection-refused"),
        (OSError(errno.ENETUNREACH, ""), CONNECT, "network-unreachable"),
        (OSError(errno.EHOSTUNREACH, ""), CONNECT, "network-unreachable"),
        (OSError(errno.ENOTCONN, ""), HANDSHAKE, "connection-closed-during-handshake"),
        (OSError(errno.EMFILE, ""), CONNECT, "network-error"),
        (OSError("no number"), CONNECT, "network-error"),
        (ssl.SSLEOFError(8, ""), HANDSHAKE, "connection-closed-during-handshake"),
        (ssl.SSLZeroReturnError(6, ""), HANDSHAKE, "connection-closed-during-handshake"),
        (
            ConnectionResetError(errno.ECONNRESET, ""),
            HANDSHAKE,
            "connection-closed-during-handshake",
        ),
        (BrokenPipeError(errno.EPIPE, ""), HEAD, "connection-closed"),
        (http.client.RemoteDisconnected(""), HEAD, "connection-closed"),
        (http.client.IncompleteRead(b""), BODY, "response-cut-short"),
        (http.client.BadStatusLine(""), HEAD, "malformed-http-response"),
        (ReceivedTooMuchError(), HEAD, "response-headers-too-large"),
        (ReceivedTooMuchError(), BODY, "policy-too-large"),
        (ValueError("negative count"), BODY, "malformed-http-response"),
        (urllib3.exceptions.InvalidHeader("no"), HEAD, "malformed-http-response"),
    ],
)
def test_a_failure_is_named_after_its_phase(error: Exception, phase: Phase, reason: str) -> None:
    assert fetch_error(error, phase).reason == reason
    around = urllib3.exceptions.ProtocolError("Connection aborted.", error)
    assert fetch_error(around, phase).reason == reason


def test_exceptions_that_hold_each_other_are_no_trap() -> None:
    first, second = ValueError(), ValueError()
    first.__context__, second.args = second, (first,)
    assert fetch_error(first, HEAD).reason == "malformed-http-response"
