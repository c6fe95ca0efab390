"""Outcomes in words: what operators read beside the codes."""

from __future__ import annotations

import pytest

from policies.tlsrpt.words import Tone, outcome

FETCH, INVALID, PKI = "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"


def test_before_the_first_lookup_there_is_none() -> None:
    assert outcome("") is None


@pytest.mark.parametrize(
    ("policy_type", "words", "tone"),
    [("sts", "policy in force", Tone.OK), ("no-policy-found", "no policy in force", Tone.IDLE)],
)
def test_without_a_failure_it_says_what_holds(policy_type: str, words: str, tone: Tone) -> None:
    found = outcome(policy_type)
    assert found is not None
    assert (found.code, found.words, found.tone) == (policy_type, words, tone)


@pytest.mark.parametrize(
    ("result_type", "reason", "words"),
    [
        (FETCH, "no-mta-sts-dns-txt-record", "MTA-STS record is gone"),
        (FETCH, "multiple-mta-sts-records", "more than one MTA-STS record"),
        (FETCH, "dns-lookup+servfail", "DNS fails: SERVFAIL"),
        (FETCH, "dns-lookup+nameserver-unreachable", "DNS fails: nameserver unreachable"),
        (FETCH, "dns-extended-error-6-dnssec-bogus",
         "DNSSEC validation fails: extended error 6 dnssec bogus"),
        (FETCH, "cannot-fetch-policy+http-status-503", "cannot fetch policy: HTTP status 503"),
        (FETCH, "cannot-fetch-policy+connection-refused",
         "cannot fetch policy: connection refused"),
        (FETCH, "cannot-fetch-policy+tls-remote-alert-40-handshake-failure",
         "cannot fetch policy: policy host sends TLS alert 40 handshake failure"),
        (PKI, "certificate-expired", "policy host's certificate has expired"),
        (PKI, "certificate-not-trusted+self-signed",
         "policy host's certificate is not trusted: self-signed"),
        (INVALID, "policy-syntax-error", "policy does not parse"),
        (FETCH, "back-off-after-recent-fetch-error", "backing off: fetch failed"),
        (FETCH, "back-off-after-recent-fetch-error+no-policy-served",
         "backing off: policy host serves no policy"),
        (FETCH, "something-new", "something new"),
        (PKI, "", "policy host's certificate is refused"),
    ],
)  # fmt: skip
def test_a_failure_is_said_in_words_and_its_codes_stay_verbatim(
    result_type: str, reason: str, words: str
) -> None:
    found = outcome("sts", result_type, reason)
    assert found is not None
    assert found.words == words
    assert found.code == (f"{result_type}: {reason}" if reason else result_type)
    assert found.tone is Tone.BAD


def test_a_fallback_is_a_warning_for_mail_is_protected() -> None:
    found = outcome("sts", FETCH, "cannot-fetch-policy+http-status-503+fallback-to-cached-policy")
    assert found is not None
    assert found.words == "cannot fetch policy: HTTP status 503, using cached policy"
    assert found.tone is Tone.WARN


@pytest.mark.parametrize("reason", ["+", "++", "fallback-to-cached-policy", "<b>", "x" * 300])
def test_any_code_is_said_somehow(reason: str) -> None:
    found = outcome("sts", FETCH, reason)
    assert found is not None
    assert found.code == f"{FETCH}: {reason}"
