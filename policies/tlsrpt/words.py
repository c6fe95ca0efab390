"""TLSRPT outcomes in words that an operator reads, beside the codes of RFC 8460 section 4.3.

The codes are for machines and for searching; the words say what happened, and to whom to turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policies.tlsrpt.failures import BACK_OFF, FALLBACK
from policies.tlsrpt.result import PolicyType


class Tone(StrEnum):
    """How much an outcome should worry."""

    OK = "ok"
    IDLE = "idle"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome, as codes and in words. `code` is verbatim, as reports have it."""

    code: str
    words: str
    tone: Tone


def outcome(policy_type: str, result_type: str = "", reason: str = "") -> Outcome | None:
    """An outcome in words; None where there is none yet (no policy type)."""
    if not policy_type:
        return None
    if not result_type:
        if policy_type == PolicyType.STS:
            return Outcome(policy_type, "policy in force", Tone.OK)
        return Outcome(policy_type, "no policy in force", Tone.IDLE)
    return failure(result_type, reason)


def failure(result_type: str, reason: str = "") -> Outcome:
    """A failure in words, whatever the policy.

    A fallback is a warning, for the cached policy protects the mail; without one it is bad.
    """
    code = f"{result_type}: {reason}" if reason else result_type
    parts = reason.split("+") if reason else [result_type]
    fallback = parts[-1] == FALLBACK
    words = _words((parts[:-1] or [result_type]) if fallback else parts)
    if fallback:
        return Outcome(code, f"{words}, using cached policy", Tone.WARN)
    return Outcome(code, words, Tone.BAD)


def _words(parts: list[str]) -> str:
    if parts[0] == BACK_OFF:
        rest = _words(parts[1:]) if parts[1:] else "fetch failed"
        return f"backing off: {rest}"
    known = [_plain(part) for part in parts]
    # "cannot fetch" and the like only introduce the detail that follows.
    if len(known) > 1 and parts[0] in _INTRODUCTIONS:
        return ": ".join([_INTRODUCTIONS[parts[0]], *known[1:]])
    return ", ".join(known)


def _plain(code: str) -> str:
    if code in _WORDS:
        return _WORDS[code]
    for prefix, words in _PREFIXES:
        if code.startswith(prefix):
            return words + code.removeprefix(prefix).replace("-", " ")
    return code.replace("-", " ")


_INTRODUCTIONS = {
    "cannot-fetch-policy": "cannot fetch policy",
    "dns-lookup": "DNS fails",
    "certificate-not-trusted": "policy host's certificate is not trusted",
}

_WORDS = {
    "no-mta-sts-dns-txt-record": "MTA-STS record is gone",
    "multiple-mta-sts-records": "more than one MTA-STS record",
    "record-syntax-error": "MTA-STS record is broken",
    "no-policy-served": "policy host serves no policy",
    "cannot-fetch-policy": "cannot fetch policy",
    "policy-syntax-error": "policy does not parse",
    "dns-lookup": "DNS fails",
    "certificate-expired": "policy host's certificate has expired",
    "certificate-not-yet-valid": "policy host's certificate is not valid yet",
    "certificate-host-mismatch": "policy host's certificate is for another name",
    "certificate-not-trusted": "policy host's certificate is not trusted",
    "certificate-revoked": "policy host's certificate is revoked",
    "self-signed": "self-signed",
    "self-signed-in-chain": "its root is not among ours",
    "unable-to-get-local-issuer": "issuer unknown or missing from the chain",
    "http-redirect-not-allowed": "policy host redirects, which is not allowed",
    "connection-refused": "connection refused",
    "network-unreachable": "network unreachable",
    "connect-timeout": "no connection in time",
    "io-timeout-during-handshake": "TLS handshake took too long",
    "policy-fetch-timeout": "policy host is too slow",
    "policy-too-large": "policy is larger than 64 KiB",
    "response-cut-short": "policy was cut short",
    "response-too-large": "the answer's headers are too large",
    "response-headers-too-large": "the answer's headers are too large",
    "malformed-http-response": "policy host does not speak HTTP properly",
    "content-encoding-not-identity": "served compressed, which was not asked for",
    "connection-closed": "connection closed",
    "address-busy": "too many connections to this address",
    "network-error": "network error",
    "content-type-not-text-plain": "not served as text/plain",
    "address-not-allowed": "policy host's address is private or reserved",
    "policy-host-dns-temporary": "DNS fails for the policy host",
    "tls-record-header-error": "policy host does not speak TLS",
    "connection-closed-during-handshake": "connection closed in the TLS handshake",
    "servfail": "SERVFAIL",
    "refused": "REFUSED",
    "timeout": "no answer in time",
    "sts-policy-fetch-error": "cannot fetch policy",
    "sts-policy-invalid": "policy is invalid",
    "sts-webpki-invalid": "policy host's certificate is refused",
}

_PREFIXES = (
    ("http-status-", "HTTP status "),
    ("dns-extended-error-", "DNSSEC validation fails: extended error "),
    ("tls-remote-alert-", "policy host sends TLS alert "),
    ("tls-local-", "TLS fails here: "),
)
