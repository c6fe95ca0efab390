"""A check of a domain: every stage of a lookup, told as it ends, and nothing stored.

DNS and the policy host are asked as for a lookup, with the same limits. What the cache holds comes
in as an argument; no database is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from policies import rows
from policies.check import mailhosts
from policies.check.fetching import fetch
from policies.check.findings import Fact, Report, Stage, State
from policies.check.record import look
from policies.check.telling import Tell, Teller
from policies.check.verdict import Found, report
from policies.decide import Cached
from policies.mtasts import Domain, Mode, Policy, Record
from policies.mtasts.errors import MTASTSError
from policies.socketmap.dane import DaneCheck, Verdict
from policies.socketmap.domainfile import DomainFile
from policies.socketmap.exceptions import Rules, may_allow
from policies.world import clients

if TYPE_CHECKING:
    from mtastsweb.environment import Environment, OnDNSError
    from policies.decide import Fetched
    from policies.models import PolicyRecord
    from policies.mtasts.dns import Resolver
    from policies.mtasts.https import PolicyFetcher

REMEMBERED = timedelta(days=30)
"""How long an enforce policy that has ended still calls for care where DNS fails."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a check asks with, and the settings that its answers depend on."""

    resolver: Resolver
    fetcher: PolicyFetcher
    dane: DaneCheck
    on_dns_error: OnDNSError
    deadline: float
    """Seconds within which every check ends."""


@cache
def tools(environment: Environment) -> Tools:
    """Those that the settings describe; made once for each set of them.

    Raises ValueError where no root is trusted.
    """
    resolver, fetcher = clients(environment)
    listed = environment.dane_domains_file
    dane = DaneCheck(resolver, environment.socketmap_dane, DomainFile(listed) if listed else None)
    # A TXT query, a fetch and a look at DANE, each with a deadline of its own.
    deadline = environment.dns_timeout + environment.fetch_timeout + 10.0
    return Tools(resolver, fetcher, dane, environment.socketmap_on_dns_error, deadline)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the cache holds of a domain; all empty where there is no row.

    `cached`: None where nothing valid is held. `was_enforced`: an enforce policy was in force in
    the last 30 days. `exceptions`: all that may count.
    """

    cached: Cached | None = None
    valid_end: datetime | None = None
    was_enforced: bool = False
    exceptions: Rules = field(default_factory=Rules)


def kept(row: PolicyRecord | None, now: datetime, exceptions: Rules) -> Kept:
    """What a row of the cache says, and all exceptions."""
    if row is None:
        return Kept(exceptions=exceptions)
    was_enforced = row.held_enforce_since(now - REMEMBERED)
    return Kept(rows.cached(row, now), row.valid_end, was_enforced, exceptions)


def run(name: Domain, given: Tools, held: Kept, tell: Tell) -> Report:
    """Look at all of a domain. What goes wrong is told and reported, never raised."""
    teller = Teller(tell)
    looked = look(name, given.resolver, teller)
    fetched = fetch(name, given.fetcher, teller) if isinstance(looked, Record) else None
    judged = _policy_in_force(fetched, held.cached)
    fit = mailhosts.look(name, judged, given.resolver, teller) if judged else None
    now = datetime.now(UTC)
    asks_dane = _may_enforce(fetched, held.cached) or _is_excepted(name, fetched, held, now)
    dane = _dane(name, given.dane, teller) if asks_dane else None
    found = Found(
        looked,
        fetched,
        dane,
        fit,
        held.cached,
        held.valid_end,
        held.was_enforced,
        held.exceptions,
        is_listed=name.ascii in given.dane.listed(),
    )
    return report(name, found, given.on_dns_error, now)


def _is_excepted(name: Domain, fetched: Fetched | None, held: Kept, now: datetime) -> bool:
    """Whether an exception would have Postfix enforce something, now or from the cache."""
    fresh = None if fetched is None or isinstance(fetched, MTASTSError) else fetched.policy
    cached = held.cached.policy if held.cached else None
    for policy in (fresh, cached):
        rule = held.exceptions.find(name.ascii, policy.mx if policy else (), now)
        if rule is not None and may_allow(rule, policy):
            return True
    return False


def _policy_in_force(fetched: Fetched | None, cached: Cached | None) -> Policy | None:
    """The policy that mail hosts have to fit: the one just fetched, else the one that is cached."""
    fresh = None if fetched is None or isinstance(fetched, MTASTSError) else fetched.policy
    policy = fresh or (cached.policy if cached else None)
    return policy if policy is not None and policy.mode is not Mode.NONE else None


def _may_enforce(fetched: Fetched | None, cached: Cached | None) -> bool:
    """Whether an enforce policy would be answered, now or from the cache."""
    fresh = None if fetched is None or isinstance(fetched, MTASTSError) else fetched.policy
    held = cached.policy if cached else None
    return any(policy is not None and policy.mode is Mode.ENFORCE for policy in (fresh, held))


def _dane(name: Domain, dane: DaneCheck, teller: Teller) -> Verdict:
    """Whether DANE has precedence (RFC 8461 section 2)."""
    verdict = dane.check(name)
    wins = verdict.override is not None
    fact = Fact.of("Found", verdict.finding.value)
    word = "has precedence" if wins else "does not apply"
    teller.tell(Stage.DANE, State.OK if wins else State.IDLE, word, fact)
    return verdict
