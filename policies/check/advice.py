"""Who can mend what stands between a domain and its policy, and how.

The words of `policies.tlsrpt.words` say what happened; these say what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policies.mtasts.errors import (
    DNSError,
    FetchError,
    MTASTSError,
    MultipleRecordsError,
    NoRecordError,
    PolicySyntaxError,
    RecordError,
)


class Who(StrEnum):
    """Who can mend it. The text follows "can be mended by"."""

    OWNER = "the domain's owner, in its DNS zone"
    HOST = "whoever runs the policy host"
    US = "us, on this machine or in its network"
    EITHER = "the domain's owner, or us if other domains fail as well"


@dataclass(frozen=True, slots=True)
class Advice:
    """Who can mend a failure, what to do, and which section of which RFC asks for it."""

    who: Who
    todo: str
    rfc: str

    @property
    def rfc_url(self) -> str:
        """Where to read it."""
        _, number, _, section = self.rfc.split()
        return f"https://www.rfc-editor.org/rfc/rfc{number}#section-{section}"


_RECORD = "RFC 8461 section 3.1"
_POLICY = "RFC 8461 section 3.2"
_FETCH = "RFC 8461 section 3.3"
_TLS = "RFC 8461 section 7.2"
_MEDIA_TYPE = "RFC 8461 section 3.2"
_DNSSEC = "RFC 8914 section 4"


def advice(error: MTASTSError) -> Advice:
    """What to do about the error that a lookup of a domain ended in."""
    match error:
        case NoRecordError():
            todo = "Publish one TXT record at _mta-sts if mail to the domain is to be protected."
            return Advice(Who.OWNER, todo, _RECORD)
        case MultipleRecordsError():
            todo = "Leave one TXT record that begins v=STSv1; and take the others away."
            return Advice(Who.OWNER, todo, _RECORD)
        case RecordError():
            todo = "Correct the TXT record: v=STSv1; id=, 1 to 32 letters and digits, and a ;."
            return Advice(Who.OWNER, todo, _RECORD)
        case DNSError():
            return _of_dns(error)
        case PolicySyntaxError():
            todo = "Correct the marked line of the policy and give the TXT record a new id."
            return Advice(Who.HOST, todo, _POLICY)
        case FetchError():
            return _of_fetch(error.reason)
    raise TypeError(f"nobody is known who could mend {type(error).__name__}")


def _of_dns(error: DNSError) -> Advice:
    if error.ede is not None:
        todo = "Mend the signatures of the zone, or its DS record: DNSSEC validation fails."
        return Advice(Who.OWNER, todo, _DNSSEC)
    if error.reason == "servfail":
        todo = "See whether the zone's nameservers answer and its delegation is right."
        return Advice(Who.EITHER, todo, _RECORD)
    todo = "See whether the resolver works (MTASTS_NAMESERVERS, or the system's)."
    return Advice(Who.US if error.reason in _OUR_DNS else Who.EITHER, todo, _RECORD)


_OUR_DNS = frozenset({"refused", "nameserver-unreachable", "no-nameserver", "malformed-reply"})


def _of_fetch(reason: str) -> Advice:
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    for prefix, found in _BY_PREFIX:
        if reason.startswith(prefix):
            return found
    todo = "Look into the log of the policy host, and check again."
    return Advice(Who.HOST, todo, _FETCH)


_SLOW = Advice(Who.HOST, "See why the policy host is slow; senders wait a minute at most.", _FETCH)
_CLOSED = Advice(
    Who.HOST, "See why the web server of the policy host breaks off connections.", _FETCH
)
_CUT = Advice(
    Who.HOST, "Have the web server send all of the policy and then close TLS properly.", _FETCH
)
_HEADERS = Advice(Who.HOST, "Have the web server send smaller headers.", _FETCH)
_OUR_NETWORK = Advice(
    Who.US, "See whether this machine reaches the Internet, IPv6 and IPv4.", _FETCH
)
_CHAIN = Advice(
    Who.HOST,
    "Have the web server send the intermediate certificates, and use an authority that browsers"
    " trust. If that is a private one on purpose, add its root to MTASTS_CA_FILE here.",
    _FETCH,
)
_CERTIFICATE = Advice(
    Who.HOST, "Get a certificate for server authentication from a trusted authority.", _FETCH
)

_BY_REASON = {
    "no-policy-served": Advice(
        Who.HOST,
        "Serve the policy at /.well-known/mta-sts.txt of the policy host, or take the TXT record"
        " away.",
        _FETCH,
    ),
    "policy-host-dns-temporary": Advice(
        Who.EITHER, "See whether the nameservers answer for the policy host's name.", _FETCH
    ),
    "address-not-allowed": Advice(
        Who.OWNER,
        "Give the policy host a public address. In a closed network set"
        " MTASTS_ALLOW_PRIVATE_ADDRESSES=1 here.",
        _FETCH,
    ),
    "address-busy": Advice(
        Who.US, "Check again when fewer fetches run (MTASTS_MAX_PER_ADDRESS).", _FETCH
    ),
    "network-unreachable": _OUR_NETWORK,
    "network-error": _OUR_NETWORK,
    "connection-refused": Advice(
        Who.HOST, "Have a web server listen for HTTPS, and let the firewall pass it.", _FETCH
    ),
    "connect-timeout": Advice(
        Who.HOST, "See whether the policy host runs and its firewall lets HTTPS in.", _FETCH
    ),
    "io-timeout-during-handshake": _SLOW,
    "policy-fetch-timeout": _SLOW,
    "connection-closed": _CLOSED,
    "connection-closed-during-handshake": _CLOSED,
    "response-cut-short": _CUT,
    "response-too-large": _HEADERS,
    "response-headers-too-large": _HEADERS,
    "malformed-http-response": Advice(
        Who.HOST, "Have a web server answer there that speaks HTTP/1.1.", _FETCH
    ),
    "tls-record-header-error": Advice(
        Who.HOST, "Switch TLS on at that port: something else answers there.", _FETCH
    ),
    "policy-too-large": Advice(Who.HOST, "Serve a policy of less than 64 KiB.", _FETCH),
    "http-redirect-not-allowed": Advice(
        Who.HOST,
        "Serve the policy at the very address with status 200; redirects are not followed.",
        _FETCH,
    ),
    "content-type-not-text-plain": Advice(
        Who.HOST, "Serve the policy as Content-Type: text/plain.", _MEDIA_TYPE
    ),
    "content-encoding-not-identity": Advice(
        Who.HOST, "Serve the policy uncompressed to those who ask for no compression.", _FETCH
    ),
    "certificate-expired": Advice(Who.HOST, "Renew the certificate.", _FETCH),
    "certificate-not-yet-valid": Advice(
        Who.HOST, "Use a certificate that is valid already, or see whether our clock is right.",
        _FETCH,
    ),
    "certificate-host-mismatch": Advice(
        Who.HOST,
        "Get a certificate that names the policy host as a DNS subject alternative name; a"
        " common name does not count.",
        _FETCH,
    ),
}  # fmt: skip

_BY_PREFIX = (
    ("certificate-not-trusted+self-signed-in-chain", _CHAIN),
    ("certificate-not-trusted+unable", _CHAIN),
    ("certificate-", _CERTIFICATE),
    ("http-status-5", Advice(Who.HOST, "See why the web server fails.", _FETCH)),
    (
        "http-status-",
        Advice(Who.HOST, "Serve the policy with status 200 to whoever asks.", _FETCH),
    ),
    (
        "tls-",
        Advice(
            Who.HOST,
            "Have the web server offer TLS 1.2 or later for the policy host's name (SNI).",
            _TLS,
        ),
    ),
    ("proxy-", Advice(Who.US, "See whether the proxy of MTASTS_PROXY works.", _FETCH)),
)
