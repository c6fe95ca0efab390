"""Each named error has its result type and reason code."""

from __future__ import annotations

import pytest

from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    DomainNameError,
    FetchError,
    MTASTSError,
    MultipleRecordsError,
    NoPolicyError,
    NoRecordError,
    NotMTASTS,
    PolicySyntaxError,
    RecordSyntaxError,
)
from policies.tlsrpt.failures import BACK_OFF, FALLBACK, failure_details
from policies.tlsrpt.result import FailureDetails

TABLE = [
    (NoRecordError(""), "sts-policy-fetch-error: no-mta-sts-dns-txt-record"),
    (MultipleRecordsError(""), "sts-policy-fetch-error: multiple-mta-sts-records"),
    (RecordSyntaxError(""), "sts-policy-fetch-error: record-syntax-error"),
    (DNSError("", reason="servfail"), "sts-policy-fetch-error: dns-lookup+servfail"),
    (
        DNSError("", reason="servfail", ede=6),
        "sts-policy-fetch-error: dns-extended-error-6-dnssec-bogus",
    ),
    (DNSError("", reason="timeout", ede=22), "sts-policy-fetch-error: dns-lookup+timeout"),
    (PolicySyntaxError("", line=1), "sts-policy-invalid: policy-syntax-error"),
    (CertificateError("", reason="certificate-expired"), "sts-webpki-invalid: certificate-expired"),
    (
        CertificateError("", reason="certificate-not-trusted+self-signed"),
        "sts-webpki-invalid: certificate-not-trusted+self-signed",
    ),
    (NoPolicyError(""), "sts-policy-fetch-error: no-policy-served"),
    (
        FetchError("", reason="http-status-500"),
        "sts-policy-fetch-error: cannot-fetch-policy+http-status-500",
    ),
]


@pytest.mark.parametrize(("error", "words"), TABLE, ids=[words for _, words in TABLE])
def test_an_error_is_called_so(error: MTASTSError, words: str) -> None:
    details = failure_details(error)
    assert str(details) == words
    assert details.failed_session_count == 1


@pytest.mark.parametrize("error", [NotMTASTS(""), DomainNameError(""), MTASTSError()])
def test_an_error_that_ends_no_lookup_has_no_result(error: MTASTSError) -> None:
    with pytest.raises(TypeError, match=type(error).__name__):
        failure_details(error)


def test_what_came_of_a_failure_follows_its_reason() -> None:
    first = failure_details(DNSError("", reason="timeout"))
    assert first.with_suffix(FALLBACK).reason_code == "dns-lookup+timeout+fallback-to-cached-policy"
    again = FailureDetails(first.result_type, BACK_OFF).with_suffix(first.reason_code)
    assert again.reason_code == "back-off-after-recent-fetch-error+dns-lookup+timeout"
