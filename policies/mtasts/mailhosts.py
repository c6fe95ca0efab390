"""The mail hosts of a domain and what DANE says of them: MX and TLSA answers (RFC 7672)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TLSA import TLSA

from policies.mtasts.dns import Resolver
from policies.mtasts.domain import MAX_NAME, Domain
from policies.mtasts.mxfit import MailHost, Named

# RFC 7672 section 3.1: of the four certificate usages only these two are meant for SMTP.
_DANE_TA, _DANE_EE = 2, 3
_SELECTORS = frozenset({0, 1})
_MATCHING_TYPES = frozenset({0, 1, 2})

_TLSA_PREFIX = "_25._tcp."


@dataclass(frozen=True, slots=True)
class MailHosts:
    """Where mail for a domain goes: `hosts`, best preference first, lower case, no trailing dot.

    Without an MX record that is the domain itself (RFC 5321 section 5.1). None at all where the
    domain takes no mail (RFC 7505) or does not exist. `authentic`, `ttl`: as in `dns.Answer`.
    `preferences`: of each host, the lowest goes first. `named`: how DNS names them.
    """

    hosts: tuple[str, ...]
    ttl: int
    authentic: bool
    preferences: tuple[int, ...] = ()
    named: Named = Named.MX

    @property
    def pairs(self) -> tuple[MailHost, ...]:
        """Each host with its preference; 0 where there is none."""
        preferences = self.preferences or (0,) * len(self.hosts)
        return tuple(map(MailHost, preferences, self.hosts))


@dataclass(frozen=True, slots=True)
class TLSAAnswer:
    """Whether a host has TLSA records that a mail server can use. `ttl`: as in `dns.Answer`."""

    proven: bool
    """At least one is usable, and DNSSEC proves the answer."""

    ttl: int


def mail_hosts(resolver: Resolver, domain: Domain, timeout: float) -> MailHosts:
    """The mail hosts of `domain`, asked for within `timeout` seconds. Raises DNSError."""
    answer = resolver.query(domain.ascii, "MX", timeout)
    if not answer.records:
        if not answer.exists:
            return MailHosts((), answer.ttl, answer.authentic, named=Named.ABSENT)
        return MailHosts((domain.ascii,), answer.ttl, answer.authentic, (0,), Named.DOMAIN)
    records = sorted((cast(MX, each) for each in answer.records), key=lambda mx: mx.preference)
    best: dict[str, int] = {}
    for mx in records:
        name = mx.exchange.to_text(omit_final_dot=True).lower()
        if name != ".":
            best.setdefault(name, mx.preference)
    named = Named.MX if best else Named.NULL
    return MailHosts(tuple(best), answer.ttl, answer.authentic, tuple(best.values()), named)


def tlsa(resolver: Resolver, host: str, timeout: float) -> TLSAAnswer | None:
    """The TLSA answer for SMTP at `host`, asked for within `timeout` seconds.

    None where the host's name leaves no room for such a record. Raises DNSError.
    """
    name = _TLSA_PREFIX + host
    if len(name) > MAX_NAME:
        return None
    answer = resolver.query(name, "TLSA", timeout)
    usable = any(_is_usable(cast(TLSA, each)) for each in answer.records)
    return TLSAAnswer(usable and answer.authentic, answer.ttl)


def _is_usable(record: TLSA) -> bool:
    """RFC 7672 section 3.1: DANE-TA or DANE-EE, and nothing that only a later RFC explains.

    dnspython takes a reply with a digest of the wrong length for a broken one.
    """
    return (
        record.usage in (_DANE_TA, _DANE_EE)
        and record.selector in _SELECTORS
        and record.mtype in _MATCHING_TYPES
        and len(record.cert) > 0
    )
