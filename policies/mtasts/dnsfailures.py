"""What each failure of dnspython is called."""

from __future__ import annotations

from collections.abc import Sequence

import dns.exception
import dns.message

from policies.mtasts.ede import VALIDATION_FAILURES
from policies.mtasts.errors import DNSError

# Server, TCP or not, port, exception or rcode, response.
Attempt = tuple[str, bool, int, Exception | str, dns.message.Message | None]


class Unanswered(Exception):
    """No nameserver answered; `attempts` says how each failed, in order."""

    def __init__(self, why: str, attempts: Sequence[Attempt]) -> None:
        super().__init__(why)
        self.attempts = attempts


def dns_error(name: str, rdtype: str, error: Unanswered) -> DNSError:
    """`error` of a question for `name` and `rdtype` as a DNSError.

    Where several nameservers failed, SERVFAIL counts before what came last: it speaks of the
    domain, the others mostly of the nameserver.
    """
    reason = _reason(error.attempts)
    said = [f"{server} {_attempt_reason(failure)}" for server, _, _, failure, _ in error.attempts]
    message = f"no answer to {name} {rdtype}: {reason} ({'; '.join(said) or error})"
    return DNSError(message, reason=reason, ede=_validation_failure(error.attempts))


def _reason(attempts: Sequence[Attempt]) -> str:
    reasons = [_attempt_reason(failure) for _, _, _, failure, _ in attempts]
    if "servfail" in reasons:
        return "servfail"
    return reasons[-1] if reasons else "timeout"


def _attempt_reason(failure: Exception | str) -> str:
    if isinstance(failure, str):
        return failure.lower()
    if isinstance(failure, dns.message.ChainTooLong):
        return "cname-loop"
    if isinstance(failure, dns.exception.Timeout | TimeoutError):
        return "timeout"
    if isinstance(failure, dns.message.Truncated):
        return "truncated"
    if isinstance(failure, OSError | EOFError):
        return "nameserver-unreachable"
    return "malformed-reply"


def _validation_failure(attempts: Sequence[Attempt]) -> int | None:
    """The first extended error that speaks of DNSSEC validation."""
    for *_, response in attempts:
        for option in response.extended_errors() if response else ():
            if option.code in VALIDATION_FAILURES:
                return int(option.code)
    return None
