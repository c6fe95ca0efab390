"""What can go wrong between a domain name and its policy (RFC 8461).

Each class says what its catcher has to do; which TLSRPT result each one means stands in
`policies.tlsrpt.failures`, and nowhere else.

    MTASTSError
    ├── DomainNameError       the name is no domain name: refuse it at the edge
    ├── RecordError           the TXT answer holds no usable record: no policy (section 3.1)
    │   ├── NotMTASTS             this TXT string is about something else
    │   ├── NoRecordError         none at all
    │   ├── MultipleRecordsError  more than one
    │   └── RecordSyntaxError     one, and it is broken
    ├── DNSError              DNS gives no answer for now: ask again later
    ├── PolicySyntaxError     the policy text is broken (section 3.2)
    └── FetchError            the policy could not be had (section 3.3)
        ├── NoPolicyError         there is none: host absent, or status 404
        └── CertificateError      the policy host's certificate is refused
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.mtasts.tls import PeerCertificate


class MTASTSError(Exception):
    """Anything that stands between a domain and its policy."""


class DomainNameError(MTASTSError, ValueError):
    """The text is no domain name; the message says why, for the one who typed it."""


class RecordError(MTASTSError):
    """The TXT answer holds no usable MTA-STS record (RFC 8461 section 3.1).

    `ttl`: seconds for which DNS says that this answer holds; 0 where unknown. `seen`: the TXT
    strings of the answer, for whoever has to mend them.
    """

    def __init__(self, message: str, *, ttl: int = 0) -> None:
        super().__init__(message)
        self.ttl = ttl
        self.seen: tuple[str, ...] = ()


class NotMTASTS(RecordError):
    """A TXT string that does not begin as an MTA-STS record does."""


class NoRecordError(RecordError):
    """No MTA-STS record: the domain does not do MTA-STS."""


class MultipleRecordsError(RecordError):
    """More than one MTA-STS record, which counts as none."""


class RecordSyntaxError(RecordError):
    """Exactly one MTA-STS record, and it does not follow the grammar."""


class DNSError(MTASTSError):
    """DNS has no answer for now; asking later may help.

    `reason`: lower-case words joined by hyphens ("servfail", "refused", "timeout", …).
    `ede`: the extended error of RFC 8914 that says DNSSEC validation failed, or None.
    """

    def __init__(self, message: str, *, reason: str, ede: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.ede = ede


class PolicySyntaxError(MTASTSError):
    """The policy text breaks the grammar of RFC 8461 section 3.2.

    `line`: counted from 1. `problem`: what was found and what was expected there.
    `received`: the text as served, for the TLS report, where it came over HTTPS. `certificate`:
    of the host that served it, there alone.
    """

    certificate: PeerCertificate | None = None

    def __init__(self, problem: str, *, line: int, received: str = "") -> None:
        super().__init__(f"line {line}: {problem}")
        self.problem = problem
        self.line = line
        self.received = received


class FetchError(MTASTSError):
    """The policy could not be had over HTTPS (RFC 8461 section 3.3).

    `reason`: lower-case words joined by hyphens ("http-status-500", "policy-too-large", …).
    `certificate`: the policy host's, accepted or not, as far as the fetch came to see one.
    """

    certificate: PeerCertificate | None = None

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NoPolicyError(FetchError):
    """The policy host does not exist, or says 404: no policy is served."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="no-policy-served")


class CertificateError(FetchError):
    """The policy host's certificate is refused.

    `reason` is a word of RFC 8460 section 4.3 or near it ("certificate-expired",
    "certificate-host-mismatch", "certificate-not-trusted+self-signed", …).
    """


def first_error(*found: object) -> MTASTSError | None:
    """The first of these that is an error, where failures are passed around as values."""
    return next((each for each in found if isinstance(each, MTASTSError)), None)
