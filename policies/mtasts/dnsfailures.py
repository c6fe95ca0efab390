"""What each failure of dnspython is called."""

from __future__ import annotations

import dns.exception
import dns.message
import dns.resolver

from policies.mtasts.ede import VALIDATION_FAILURES
from policies.mtasts.errors import DNSError

# dnspython notes each attempt as (server, TCP or not, port, exception or rcode, response).
Attempt = tuple[str | None, bool, int, Exception | str, dns.message.Message | None]


def dns_error(name: str, rdtype: str, error: dns.exception.DNSException) -> DNSError:
    """`error` of a question for `name` and `rdtype` as a DNSError.

    Where several nameservers failed, SERVFAIL counts before what came last: it speaks of the
    domain, the others mostly of the nameserver.
    """
    attempts: list[Attempt] = error.kwargs.get("errors", [])
    reason = _reason(error, attempts)
    said = [f"{server} {_attempt_reason(failure)}" for server, _, _, failure, _ in attempts]
    message = f"no answer to {name} {rdtype}: {reason} ({'; '.join(said) or error})"
    return DNSError(message, reason=reason, ede=_validation_failure(attempts))


def _reason(error: dns.exception.DNSException, attempts: list[Attempt]) -> str:
    reasons = [_attempt_reason(failure) for _, _, _, failure, _ in attempts]
    if "servfail" in reasons:
        return "servfail"
    return reasons[-1] if reasons else _reason_alone(error)


def _reason_alone(error: dns.exception.DNSException) -> str:
    """The reason of an error that comes without attempts."""
    if isinstance(error, dns.exception.Timeout):
        return "timeout"
    if isinstance(error, dns.resolver.YXDOMAIN):
        return "yxdomain"
    if isinstance(error, dns.resolver.NoResolverConfiguration):
        return "no-nameserver"
    return "bad-name"


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


def _validation_failure(attempts: list[Attempt]) -> int | None:
    """The first extended error that speaks of DNSSEC validation."""
    for *_, response in attempts:
        for option in response.extended_errors() if response else ():
            if option.code in VALIDATION_FAILURES:
                return int(option.code)
    return None
