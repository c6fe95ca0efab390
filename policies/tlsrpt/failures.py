"""What each named error is called in a TLS report (RFC 8460 section 4.3): the one table.

A reason code begins with the common word; finer detail follows after a plus sign.
"""

from __future__ import annotations

from collections.abc import Callable

from policies.mtasts.ede import VALIDATION_FAILURES
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    FetchError,
    MTASTSError,
    MultipleRecordsError,
    NoPolicyError,
    NoRecordError,
    PolicySyntaxError,
    RecordSyntaxError,
)
from policies.tlsrpt.result import FailureDetails, ResultType

FALLBACK = "fallback-to-cached-policy"
"""Suffix where a cached policy applied all the same."""

BACK_OFF = "back-off-after-recent-fetch-error"
"""Reason while a failed fetch is not repeated; the first failure's reason follows."""


def failure_details(error: MTASTSError) -> FailureDetails:
    """One failure, for the error that stood between a domain and its policy.

    Raises TypeError for an error that no lookup of a domain ends in.
    """
    for kind, result_type, reason in _FAILURES:
        if isinstance(error, kind):
            return FailureDetails(result_type, reason(error) if callable(reason) else reason)
    raise TypeError(f"{type(error).__name__} has no place in a TLS report")


def _dns(error: DNSError) -> str:
    if error.ede is not None and error.ede in VALIDATION_FAILURES:
        return f"dns-extended-error-{error.ede}-{VALIDATION_FAILURES[error.ede]}"
    return f"dns-lookup+{error.reason}"


def _certificate(error: CertificateError) -> str:
    return error.reason


def _fetch(error: FetchError) -> str:
    return f"cannot-fetch-policy+{error.reason}"


Reason = str | Callable[..., str]

# The first match counts, so the particular stands before the general.
_FAILURES: tuple[tuple[type[MTASTSError], ResultType, Reason], ...] = (
    (NoRecordError, ResultType.STS_POLICY_FETCH_ERROR, "no-mta-sts-dns-txt-record"),
    (MultipleRecordsError, ResultType.STS_POLICY_FETCH_ERROR, "multiple-mta-sts-records"),
    (RecordSyntaxError, ResultType.STS_POLICY_FETCH_ERROR, "record-syntax-error"),
    (DNSError, ResultType.STS_POLICY_FETCH_ERROR, _dns),
    (PolicySyntaxError, ResultType.STS_POLICY_INVALID, "policy-syntax-error"),
    (CertificateError, ResultType.STS_WEBPKI_INVALID, _certificate),
    (NoPolicyError, ResultType.STS_POLICY_FETCH_ERROR, "no-policy-served"),
    (FetchError, ResultType.STS_POLICY_FETCH_ERROR, _fetch),
)
