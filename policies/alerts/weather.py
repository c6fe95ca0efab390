"""Whether it is us: what fails for everybody at once is our network's fault, not the domains'.

Asked only when an alert is about to open or to be counted again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Q

from policies.alerts.kinds import Closed, Kind, State
from policies.models import Alert, Fetch, MXCheck
from policies.mtasts.mxfit import Named
from policies.tlsrpt.result import ResultType

SPAN = timedelta(minutes=15)
"""How long what other domains came to speaks for how things are."""

READ = 500
"""Fetches that are read at most, the latest first."""

OTHERS = 5
"""So many other domains have to fail in the same way before it counts as everybody's."""

SHARE = 2 / 3
"""… and such a share of those that were fetched."""

PROOF = timedelta(days=1)
"""How far back a fetch of another domain proves that DNS has worked since."""


class Way(StrEnum):
    """How a fetch failed, as far as it tells what may be broken on our side."""

    DNS = "dns"
    HOST = "host"
    CERTIFICATE = "certificate"
    TEXT = "text"
    NETWORK = "network"


def way(failure_type: str, reason: str) -> Way:
    """The way that a fetch failed which ended in this result type and reason code."""
    if failure_type == ResultType.STS_WEBPKI_INVALID:
        return Way.CERTIFICATE
    if failure_type == ResultType.STS_POLICY_INVALID:
        return Way.TEXT
    if "policy-host-dns" in reason or reason.startswith("dns-"):
        return Way.DNS
    return Way.HOST if reason.startswith("no-policy-served") else Way.NETWORK


_WAYS = {
    Kind.HOST_GONE: frozenset({Way.HOST, Way.DNS}),
    Kind.CERTIFICATE_REFUSED: frozenset({Way.CERTIFICATE}),
    Kind.POLICY_INVALID: frozenset({Way.TEXT}),
    Kind.RECORD_GONE: frozenset({Way.HOST, Way.DNS}),
    Kind.RECORD_BROKEN: frozenset({Way.HOST, Way.DNS}),
    Kind.REFRESH_FAILING: frozenset({Way.NETWORK, Way.DNS}),
}


DENIALS = frozenset({Kind.RECORD_GONE, Kind.HOST_GONE})
"""What a resolver makes that denies every name."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the last fetch of each domain came to lately: None where it worked.

    `proven_at`: the beginning of the latest fetch that worked, of whichever domain: DNS told the
    truth then. `denied`: domains of which a record or host was denied since.
    """

    fetched: dict[str, Way | None] = field(default_factory=dict)
    proven_at: datetime | None = None
    denied: frozenset[str] = frozenset()

    def is_ours(self, kind: Kind, domain: str) -> bool:
        """Whether most other domains fail in the way that makes this kind, too."""
        ways = _WAYS.get(kind)
        if ways is None:
            return False  # verified HTTPS says so
        others = Counter(each for name, each in self.fetched.items() if name != domain)
        failing = sum(others[each] for each in ways)
        return failing >= OTHERS and failing >= SHARE * others.total()

    def denies_everybody(self, domain: str) -> bool:
        """Whether DNS has denied so many others, and named nobody since, that it is its own lie.

        Lookups of cached policies fetch nothing, so that fetches alone would not tell.
        """
        return len(self.denied - {domain}) >= OTHERS

    def was_proven_since(self, since: datetime) -> bool:
        return self.proven_at is not None and self.proven_at > since


def read(now: datetime, denied_now: Mapping[str, datetime]) -> Weather:
    """How things are: three queries, by indexes. `denied_now`: what is about to be noted."""
    proven_at = _proven_at(now)
    lost = Alert.objects.filter(closed_at=None, kind__in=[str(kind) for kind in DENIALS])
    if proven_at is not None:
        lost = lost.filter(last_seen__gt=proven_at)
    denied = {name for name, at in denied_now.items() if proven_at is None or at > proven_at}
    denied.update(lost.order_by().values_list("domain", flat=True)[:READ])
    return Weather(_fetched(now), proven_at, frozenset(denied))


def _proven_at(now: datetime) -> datetime | None:
    worked = Fetch.objects.filter(outcome=Fetch.Outcome.FETCHED, queued_at__lte=now)
    return worked.order_by("-queued_at").values_list("queued_at", flat=True).first()


def doubtful(now: datetime) -> Q:
    """Alerts on what DNS has denied, while it has named nothing since."""
    denied = Q(kind__in=[str(kind) for kind in DENIALS], state=str(State.SUSPECTED))
    proven_at = _proven_at(now)
    return denied if proven_at is None else denied & Q(last_seen__gt=proven_at)


SEEN_ONCE = Q(
    kind__in=[str(kind) for kind in DENIALS], state=str(State.SUSPECTED), sightings=1,
    closed_because=str(Closed.WELL),
)  # fmt: skip
"""Alerts on what DNS has denied and, when it was asked again, no longer did."""


def _fetched(now: datetime) -> dict[str, Way | None]:
    rows = Fetch.objects.filter(
        queued_at__gte=now - SPAN, queued_at__lte=now, state=Fetch.State.DONE
    ).exclude(outcome=Fetch.Outcome.LOST)
    fetched: dict[str, Way | None] = {}
    for domain, outcome, kind, reason in rows.values_list(
        "domain", "outcome", "failure_type", "failure_reason"
    )[:READ]:
        is_well = outcome in {Fetch.Outcome.FETCHED, Fetch.Outcome.REMOVED}
        fetched.setdefault(domain, None if is_well else way(kind, reason))
    return fetched


def names_mail_hosts_since(since: datetime, domain: str) -> bool:
    """Whether DNS has named the domain's own mail hosts since then: it does not deny all of it."""
    return MXCheck.objects.filter(domain=domain, named=str(Named.MX), checked_at__gt=since).exists()


def dns_worked_since(since: datetime, domain: str, now: datetime) -> bool:
    """Whether the policy of another domain was fetched since then: our DNS does work.

    Whether a failing DNS is ours or theirs can be told only by comparing.
    """
    return (
        Fetch.objects.filter(
            outcome=Fetch.Outcome.FETCHED,
            queued_at__gte=max(since, now - PROOF),
            queued_at__lte=now,
        )
        .exclude(domain=domain)
        .exists()
    )
