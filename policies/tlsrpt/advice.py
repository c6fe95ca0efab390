"""What a failure means, who can mend it and how: for operators, by result type and reason code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policies.tlsrpt.failures import BACK_OFF, FALLBACK


class Who(StrEnum):
    """Who can do something about a failure."""

    DOMAIN = "the domain's operator"
    US = "you"
    BOTH = "you or the domain's operator"


@dataclass(frozen=True, slots=True)
class Advice:
    """`meaning`: what happened. `remedy`: what to do, and `who` can. `section`: where it is
    written, as "RFC 8461 section 3.3"."""

    meaning: str
    remedy: str
    who: Who
    section: str


def advice(result_type: str, reason: str) -> Advice:
    """For one failure detail; something general where its codes are not known."""
    parts = [part for part in reason.split("+") if part not in (BACK_OFF, FALLBACK)]
    # The finest detail comes last, so that is asked for first.
    for code in reversed(parts):
        if code in _BY_REASON:
            return _BY_REASON[code]
        for prefix, found in _BY_PREFIX:
            if code.startswith(prefix):
                return found
    return _BY_TYPE.get(result_type, _UNKNOWN)


def consequence(reason: str) -> str:
    """What it meant for the mail."""
    parts = reason.split("+")
    if parts[-1] == FALLBACK:
        return "The cached policy stayed in force, so mail was protected as before."
    if parts[0] == BACK_OFF:
        return (
            "The fetch had failed minutes before and was not tried again, so mail went out as"
            " without MTA-STS (RFC 8461 section 3.3)."
        )
    return "No policy was cached, so mail went out as without MTA-STS (RFC 8461 section 3.3)."


_RECORD = "RFC 8461 section 3.1"
_SYNTAX = "RFC 8461 section 3.2"
_FETCHING = "RFC 8461 section 3.3"
_REPORTING = "RFC 8460 section 4.3"

_TELL = "Tell the domain's postmaster"

_REACH = Advice(
    "The policy host could not be reached over the network.",
    "If other domains fail the same way, look at this machine's network and firewall: port 443"
    f" outwards has to be open. If it is this one alone, {_TELL.lower()}.",
    Who.BOTH,
    _FETCHING,
)
_SLOW = Advice(
    "The policy host took longer than the time that a fetch may take.",
    f"{_TELL} if it lasts. MTASTS_FETCH_TIMEOUT sets how long is waited here.",
    Who.DOMAIN,
    _FETCHING,
)
_HTTP = Advice(
    "The policy host answered, but not with a policy. Only status 200 counts as one.",
    f"{_TELL}: /.well-known/mta-sts.txt has to be served with status 200.",
    Who.DOMAIN,
    _FETCHING,
)
_HANDSHAKE = Advice(
    "The policy host and this machine could not agree on a TLS connection.",
    f"{_TELL}: the policy host has to speak TLS 1.2 or later with a usual cipher.",
    Who.DOMAIN,
    "RFC 8461 section 7.2",
)
_TRUST = Advice(
    "The certificate of the policy host leads to no root that is trusted here.",
    f"{_TELL}: the chain may lack an intermediate certificate. If the host is on your own"
    " network, set MTASTS_CA_FILE.",
    Who.BOTH,
    _FETCHING,
)
_DNS = Advice(
    "DNS gave no answer about the MTA-STS record, neither that it is there nor that it is not.",
    "If other domains fail the same way, look at your resolver (MTASTS_NAMESERVERS). If it is"
    " this one alone, its name servers are at fault.",
    Who.BOTH,
    _RECORD,
)
_DNSSEC = Advice(
    "The zone is signed, and its signatures do not verify: an attack, or a fault in the zone.",
    f"{_TELL}. Do not switch validation off.",
    Who.DOMAIN,
    "RFC 8461 section 10.2",
)
_FORM = Advice(
    "What the policy host sent is no proper answer to the request.",
    f"{_TELL}: the policy is plain text of at most 64 KiB, served uncompressed.",
    Who.DOMAIN,
    _FETCHING,
)

_BY_REASON = {
    "no-mta-sts-dns-txt-record": Advice(
        "The MTA-STS record is gone. That alone ends no policy: a cached one counts until its"
        " max_age has passed.",
        f"If the domain means to leave MTA-STS, it should publish a policy of mode none first."
        f" {_TELL} if mail to it begins to fail.",
        Who.DOMAIN,
        "RFC 8461 section 8.3",
    ),
    "multiple-mta-sts-records": Advice(
        "The domain has more than one MTA-STS record, which counts as none.",
        f"{_TELL}: all but one have to go.",
        Who.DOMAIN,
        _RECORD,
    ),
    "record-syntax-error": Advice(
        "The MTA-STS record does not follow the grammar, which counts as none.",
        f"{_TELL}: it has the form v=STSv1; id=20260101; with an id of 1 to 32 letters and digits.",
        Who.DOMAIN,
        _RECORD,
    ),
    "no-policy-served": Advice(
        "There is a record, but the policy host does not exist or has no policy (status 404).",
        f"{_TELL}: the policy belongs at https://mta-sts.DOMAIN/.well-known/mta-sts.txt.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "policy-syntax-error": Advice(
        "What the policy host serves does not parse as a policy.",
        f"{_TELL}: the page of the policy shows the text as received, and which line is wrong.",
        Who.DOMAIN,
        _SYNTAX,
    ),
    "certificate-expired": Advice(
        "The certificate of the policy host has expired.",
        f"{_TELL}: it has to be renewed. If many domains fail so, look at this machine's clock.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "certificate-not-yet-valid": Advice(
        "The certificate of the policy host is not valid yet.",
        "Look at this machine's clock first; then tell the domain's postmaster.",
        Who.BOTH,
        _FETCHING,
    ),
    "certificate-host-mismatch": Advice(
        "The certificate of the policy host names other hosts.",
        f"{_TELL}: it has to name mta-sts.DOMAIN among its subject alternative names.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "certificate-revoked": Advice(
        "The certificate of the policy host has been revoked.",
        f"{_TELL}: a new one is needed.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "self-signed": Advice(
        "The policy host shows a certificate that it signed itself.",
        f"{_TELL}: one from a public certificate authority is needed.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "http-redirect-not-allowed": Advice(
        "The policy host redirects, and redirects must not be followed.",
        f"{_TELL}: the policy has to be served at its own address.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "address-not-allowed": Advice(
        "The policy host has a private or reserved address, which is not connected to from here.",
        f"{_TELL}. On a closed network set MTASTS_ALLOW_PRIVATE_ADDRESSES=1.",
        Who.BOTH,
        _FETCHING,
    ),
    "address-busy": Advice(
        "Too many fetches from one address were under way: many domains share a policy host.",
        "Nothing, unless it lasts; MTASTS_MAX_PER_ADDRESS sets how many are allowed.",
        Who.US,
        _FETCHING,
    ),
    "policy-host-dns-temporary": Advice(
        "DNS gave no answer about the policy host's address.",
        _DNS.remedy,
        Who.BOTH,
        _FETCHING,
    ),
    "content-type-not-text-plain": Advice(
        "The policy is served as another type than text/plain: mostly a web page in its place.",
        f"{_TELL}: its Content-Type has to be text/plain.",
        Who.DOMAIN,
        _SYNTAX,
    ),
    "tls-record-header-error": Advice(
        "What answers on the policy host's port 443 does not speak TLS.",
        f"{_TELL}.",
        Who.DOMAIN,
        _FETCHING,
    ),
    "policy-too-large": _FORM,
    "response-cut-short": _FORM,
    "response-too-large": _FORM,
    "response-headers-too-large": _FORM,
    "malformed-http-response": _FORM,
    "content-encoding-not-identity": _FORM,
    "connection-refused": _REACH,
    "network-unreachable": _REACH,
    "network-error": _REACH,
    "connect-timeout": _REACH,
    "connection-closed": _REACH,
    "policy-fetch-timeout": _SLOW,
    "io-timeout-during-handshake": _SLOW,
    "connection-closed-during-handshake": _HANDSHAKE,
    "certificate-not-trusted": _TRUST,
    "dns-lookup": _DNS,
}

_BY_PREFIX = (
    ("http-status-", _HTTP),
    ("dns-extended-error-", _DNSSEC),
    ("tls-remote-alert-", _HANDSHAKE),
    ("tls-local-", _HANDSHAKE),
)

_BY_TYPE = {
    "sts-policy-fetch-error": Advice(
        "The policy could not be fetched.",
        "Refetch it to see what fails now.",
        Who.BOTH,
        _FETCHING,
    ),
    "sts-policy-invalid": _BY_REASON["policy-syntax-error"],
    "sts-webpki-invalid": Advice(
        "The certificate of the policy host does not verify.",
        f"{_TELL}.",
        Who.DOMAIN,
        _FETCHING,
    ),
}

_UNKNOWN = Advice(
    "A failure of a kind that is not known here.",
    "Look its code up where result types are listed.",
    Who.BOTH,
    _REPORTING,
)
