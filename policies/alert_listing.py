"""`/alerts/`: open ones first, filtered and paged by key.

As in the log of fetches, a page is found by the key of the row before it, and whatever stands in
the query string, a sensible page comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import QuerySet

from policies import paging
from policies.alerts import texts
from policies.alerts.kinds import Closed, Kind, Severity, State
from policies.listing import Choice, Page, as_stored, known, typed
from policies.models import Alert, PolicyRecord

SEVERITIES = tuple(Choice(str(each), str(each)) for each in Severity)
STATES = (
    *(Choice(str(each), str(each)) for each in State),
    Choice("new", "not acknowledged"),
    Choice("acknowledged", "acknowledged"),
)
KINDS = tuple(Choice(str(each), each.words) for each in Kind)
SHOWN = (Choice("open", "open"), Choice("closed", "over"))


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page is asked to show. Fields are empty where nothing is asked."""

    domain: str = ""
    severity: str = ""
    kind: str = ""
    state: str = ""
    show: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From a query string; what is unknown there asks for nothing."""
        return cls(
            domain=typed(query.get("domain", "")),
            severity=known(query.get("severity", ""), SEVERITIES),
            kind=known(query.get("kind", ""), KINDS),
            state=known(query.get("state", ""), STATES),
            show=known(query.get("show", ""), SHOWN),
        )

    @property
    def any(self) -> bool:
        """Whether anything is filtered."""
        return any(asdict(self).values())

    def query(self, **changes: str) -> str:
        """The query string of these filters with some changed, without what is default."""
        values = asdict(self) | changes
        return "?" + urlencode({key: value for key, value in values.items() if value})

    def lists(self) -> list[QuerySet[Alert]]:
        """What is asked for: the open ones, then those that are over, each in order of time."""
        asked = self._asked()
        lists = {"open": asked.filter(closed_at=None), "closed": asked.exclude(closed_at=None)}
        return [lists[self.show]] if self.show else list(lists.values())

    def _asked(self) -> QuerySet[Alert]:
        asked = Alert.objects.select_related("acknowledged_by").defer(
            "before_text", "after_text", "evidence"
        )
        if self.domain:
            asked = asked.filter(domain=as_stored(self.domain))
        if self.severity:
            asked = asked.filter(severity=self.severity)
        if self.kind:
            asked = asked.filter(kind=self.kind)
        match self.state:
            case "":
                return asked
            case "new":
                return asked.filter(acknowledged_at=None)
            case "acknowledged":
                return asked.exclude(acknowledged_at=None)
        return asked.filter(state=self.state)


def page(filters: Filters, *, after: str = "", before: str = "") -> Page[Alert]:
    """The alerts after or before a place; the first ones for none, or one that is none of ours."""
    return paging.page(filters.lists(), after=after, before=before, moment="opened_at")


@dataclass(frozen=True, slots=True)
class Shown:
    """An alert as pages show it. `ascii`: the A-label of its policy's page; empty for none."""

    alert: Alert
    kind: Kind
    ascii: str

    @property
    def tone(self) -> str:
        """The kind of its badge."""
        if not self.alert.is_open:
            return "idle"
        return "bad" if self.alert.severity == "warning" else "warn"

    @property
    def ended(self) -> str:
        """Why it is over, in words."""
        return Closed(self.alert.closed_because).words if self.alert.closed_because else ""

    @property
    def certificate_end(self) -> datetime | None:
        """When the certificate that was seen ends."""
        seen = self.alert.evidence.get("certificate")
        return datetime.fromisoformat(seen["not_after"]) if seen else None


def shown(alert: Alert, *, is_cached: bool) -> Shown:
    """`is_cached`: the domain has a policy's page."""
    return Shown(alert, Kind(alert.kind), texts.a_label(alert.domain) if is_cached else "")


def of_policy(record: PolicyRecord) -> list[Shown]:
    """The open alerts of a cached domain; no query where its row knows of none."""
    if not record.open_alerts:
        return []
    alerts = Alert.objects.filter(domain=record.domain, closed_at=None)
    return [shown(alert, is_cached=True) for alert in alerts]
