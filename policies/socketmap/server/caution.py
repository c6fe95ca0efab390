"""What to answer, and for how long to believe it: rules without state."""

from __future__ import annotations

from mtastsweb.environment import OnDNSError
from policies.decide import Look
from policies.mtasts import Record
from policies.mtasts.errors import DNSError
from policies.socketmap.reply import NOT_FOUND, temporary

HOUR = 3600.0
RECORD_TRUST = (60.0, HOUR)
ABSENCE_TRUST = (60.0, HOUR / 4)
FAILURE_TRUST = 30.0
"""Seconds for which a look at DNS is believed: its TTL within these bounds."""

CAREFUL_FOR = 24 * HOUR
"""Seconds for which mail is deferred where DNS fails; after that it is rather a fault."""

DNS_FAILS = temporary("the MTA-STS record cannot be looked up")


def trust(look: Look, ttl: int) -> float:
    """Seconds for which no further look at DNS is needed."""
    if isinstance(look, DNSError):
        return FAILURE_TRUST
    least, most = RECORD_TRUST if isinstance(look, Record) else ABSENCE_TRUST
    return min(max(float(ttl), least), most)


def on_dns_error(
    setting: OnDNSError, *, is_proven_attack: bool, was_enforced: bool, failing_for: float
) -> bytes:
    """The reply where DNS fails for a domain without a valid policy (`SOCKETMAP_ON_DNS_ERROR`).

    `is_proven_attack`: DNSSEC validation failed. `was_enforced`: an enforce policy was in force
    lately. `failing_for`: seconds since DNS began to fail. Whoever can make DNS fail in an
    unsigned zone can as well forge an absence, so deferring mail there protects nobody.
    """
    match setting:
        case OnDNSError.TEMP:
            return DNS_FAILS
        case OnDNSError.NOTFOUND:
            return NOT_FOUND
    is_suspicious = is_proven_attack or was_enforced
    return DNS_FAILS if is_suspicious and failing_for < CAREFUL_FOR else NOT_FOUND
