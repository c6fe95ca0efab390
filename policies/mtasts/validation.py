"""Does the resolver validate DNSSEC, and can we believe it when it says so?"""

from __future__ import annotations

from enum import StrEnum

from policies.mtasts.dns import Resolver
from policies.mtasts.errors import DNSError

_PROBE = ".", "SOA"
"""Signed since 2010, and in the cache of nearly every resolver."""


class Validation(StrEnum):
    """What can be said of the resolver. The text is for operators."""

    WORKS = "the resolver validates DNSSEC"
    MISSING = "the resolver does not validate DNSSEC"
    UNTRUSTED = (
        "the system's resolver is on another machine, so what it says of DNSSEC could be forged;"
        " name it in MTASTS_NAMESERVERS if the way to it is safe"
    )
    UNKNOWN = "the resolver gives no answer for the root zone, so whether it validates is unknown"


def probe(resolver: Resolver) -> Validation:
    """Asks for a name that is signed, and looks whether the answer is said to be proven (AD).

    Takes one DNS query where the resolver is trusted, so up to `resolver.timeout` seconds.
    """
    if not resolver.is_trusted:
        return Validation.UNTRUSTED
    try:
        answer = resolver.query(*_PROBE)
    except DNSError:
        return Validation.UNKNOWN
    if not answer.records:
        return Validation.UNKNOWN
    return Validation.WORKS if answer.authentic else Validation.MISSING


def has_validating_resolver(resolver: Resolver) -> bool:
    """Whether `probe` has seen the resolver prove something."""
    return probe(resolver) is Validation.WORKS
