"""Does DANE protect mail to a domain, so that its MTA-STS policy must not get in the way?

Postfix applies an MTA-STS answer in place of its own DANE level, and RFC 8461 section 2 forbids
that. So before `secure` is answered, DNS is asked what Postfix would ask (RFC 7672).
docs/decisions/0005-dane.md has the reasons behind each case.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

from mtastsweb.environment import OnDANE
from policies.mtasts.dns import Answer, Resolver
from policies.mtasts.domain import Domain
from policies.mtasts.errors import DNSError
from policies.mtasts.mailhosts import MailHosts, mail_hosts, tlsa
from policies.socketmap.domainfile import DomainFile
from policies.socketmap.reply import NOT_FOUND

DANE_ONLY = b"OK dane-only"
"""Postfix must verify by TLSA, or defer. Needs smtp_dns_support_level=dnssec there."""

SHORTEST, LONGEST = 60, 60 * 60
"""Seconds between which what DNS says is kept, whatever its TTL."""

UNDECIDED_TTL = 30
"""Seconds until DNS is asked again where it gave no answer."""

MAX_HOSTS = 32
"""Mail hosts that are looked at, best preference first; a domain decides how many it names."""


class Finding(Enum):
    """Why a verdict is what it is."""

    LISTED = "the operator lists the domain as one for DANE"
    OFF = "DANE is not looked at"
    UNTRUSTED = "the resolver is too far away to be believed"
    NO_MX_ANSWER = "DNS gives no answer for the MX records"
    UNPROVEN_MX = "the MX answer is not proven"
    NO_TLSA = "no mail host has a proven, usable TLSA record"
    TLSA_FAILS = "a mail host's TLSA records cannot be had, and nothing says that there are none"
    PROVEN = "a mail host has a proven, usable TLSA record"


_DANE_MAY_APPLY = frozenset({Finding.TLSA_FAILS, Finding.PROVEN})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to answer instead of `secure`, and for how long.

    `override`: the whole reply, or None where the policy's own reply stands. `ttl`: seconds.
    """

    override: bytes | None
    ttl: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class _Found:
    """What DNS says; `ttl`: seconds, of the shortest-lived answer behind it."""

    finding: Finding
    ttl: int


class DaneCheck:
    """Judges domains one by one; many threads may do so at once.

    `timeout`: seconds for one domain, all its hosts included, or what the resolver has for one
    question where that is less. `listed`: domains that are left to DANE whatever DNS says and
    whatever `on_dane` is.
    """

    def __init__(
        self,
        resolver: Resolver,
        on_dane: OnDANE,
        listed: DomainFile | None = None,
        *,
        timeout: float = 10.0,
    ) -> None:
        self._resolver = resolver
        self._on_dane = on_dane
        self._listed = listed
        self._timeout = min(timeout, resolver.timeout)

    def listed(self) -> frozenset[str]:
        """The domains, as A-labels, that always get NOT_FOUND: what the file says now."""
        return self._listed.names() if self._listed else frozenset()

    def check(self, name: Domain) -> Verdict:
        """Whether the policy of `name`, which says enforce, may be answered. Raises nothing."""
        if name.ascii in self.listed():
            return Verdict(NOT_FOUND, LONGEST, Finding.LISTED)
        if self._on_dane is OnDANE.OFF:
            return Verdict(None, LONGEST, Finding.OFF)
        if not self._resolver.is_trusted:
            return Verdict(None, LONGEST, Finding.UNTRUSTED)
        found = _Search(self._resolver, name, self._timeout).result()
        return Verdict(self._override(found.finding), _clamped(found), found.finding)

    def _override(self, finding: Finding) -> bytes | None:
        if finding not in _DANE_MAY_APPLY:
            return None
        return DANE_ONLY if self._on_dane is OnDANE.DANE_ONLY else NOT_FOUND


def _clamped(found: _Found) -> int:
    if found.finding in (Finding.NO_MX_ANSWER, Finding.TLSA_FAILS):
        return UNDECIDED_TTL
    return max(SHORTEST, min(found.ttl, LONGEST))


class _Search:
    """One domain's mail hosts, asked about one after the other until one is proven."""

    def __init__(self, resolver: Resolver, domain: Domain, timeout: float) -> None:
        self._resolver = resolver
        self._domain = domain
        self._end = time.monotonic() + timeout

    def result(self) -> _Found:
        try:
            mail = mail_hosts(self._resolver, self._domain, self._time_for_one())
        except DNSError:
            return _Found(Finding.NO_MX_ANSWER, UNDECIDED_TTL)
        if not mail.authentic:
            return _Found(Finding.UNPROVEN_MX, mail.ttl)
        return self._among(mail)

    def _among(self, mail: MailHosts) -> _Found:
        so_far = _Found(Finding.NO_TLSA, mail.ttl)
        for host in mail.hosts[:MAX_HOSTS]:
            found = self._of(host)
            if found.finding is Finding.PROVEN:
                return _Found(Finding.PROVEN, min(mail.ttl, found.ttl))
            so_far = _stronger(so_far, found)
        return so_far

    def _of(self, host: str) -> _Found:
        """PROVEN, NO_TLSA or TLSA_FAILS."""
        direct = self._tlsa(host)
        if direct.finding is Finding.PROVEN:
            return direct
        try:
            address = self._resolver.query(host, "A", self._time_for_one())
        except DNSError:
            return _Found(direct.finding, SHORTEST)
        if address.authentic and address.canonical != host:
            # RFC 7672 section 2.2.2: an alias may have its records at either end.
            direct = _stronger(direct, self._tlsa(address.canonical))
        if direct.finding is Finding.TLSA_FAILS and self._is_unsigned(host, address):
            return _Found(Finding.NO_TLSA, address.ttl)
        return _Found(direct.finding, min(direct.ttl, address.ttl))

    def _tlsa(self, host: str) -> _Found:
        try:
            answer = tlsa(self._resolver, host, self._time_for_one())
        except DNSError:
            return _Found(Finding.TLSA_FAILS, UNDECIDED_TTL)
        if answer is None:
            return _Found(Finding.NO_TLSA, LONGEST)
        return _Found(Finding.PROVEN if answer.proven else Finding.NO_TLSA, answer.ttl)

    def _is_unsigned(self, host: str, address: Answer) -> bool:
        """Whether `host` lies in a zone without DNSSEC, where DANE never applies.

        RFC 7672 section 2.2.2: there a mail server does not even ask for TLSA records, as some
        nameservers never answer such questions. The domain's own zone has just been proven.
        """
        if host == self._domain.ascii or host.endswith(f".{self._domain.ascii}"):
            return False
        return bool(address.records) and not address.authentic

    def _time_for_one(self) -> float:
        """Seconds for the next question: half of what is left, so that one cannot use up all."""
        return max(0.0, (self._end - time.monotonic()) / 2)


_STRENGTH = (Finding.PROVEN, Finding.TLSA_FAILS, Finding.NO_TLSA)


def _stronger(one: _Found, other: _Found) -> _Found:
    """What counts of two findings about the same host, or about two hosts of a domain."""
    return min(one, other, key=lambda found: (_STRENGTH.index(found.finding), found.ttl))
