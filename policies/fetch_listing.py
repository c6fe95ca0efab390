"""`/fetches/`: the log of fetches, filtered and paged, and fast at millions of rows.

"Failures first" is one list after another, one for each way to end (`policies.paging`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from policies.listing import Choice, as_stored, known, typed
from policies.models import Fetch

SOURCES = tuple(Choice(value, label) for value, label in Fetch.Source.choices)
OPEN = "open"
STATES = (
    Choice(OPEN, "open: queued or running"),
    *(Choice(value, label) for value, label in Fetch.State.choices),
)
OUTCOMES = tuple(Choice(value, label) for value, label in Fetch.Outcome.choices)
SINCE = (
    Choice("1h", "the last hour"),
    Choice("1d", "the last day"),
    Choice("7d", "the last 7 days"),
    Choice("30d", "the last 30 days"),
)
SORTS = (Choice("failures", "failures first"), Choice("newest", "newest first"))

_SPANS = {
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}

_WORST_FIRST = (
    "",  # not ended yet
    Fetch.Outcome.FAILED,
    Fetch.Outcome.LOST,
    Fetch.Outcome.REMOVED,
    Fetch.Outcome.NO_RECORD,
    Fetch.Outcome.FETCHED,
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page is asked to show. Fields are empty where nothing is asked."""

    domain: str = ""
    source: str = ""
    state: str = ""
    outcome: str = ""
    since: str = ""
    sort: str = "failures"

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From a query string; what is unknown there asks for nothing."""
        return cls(
            domain=typed(query.get("domain", "")),
            source=known(query.get("source", ""), SOURCES),
            state=known(query.get("state", ""), STATES),
            outcome=known(query.get("outcome", ""), OUTCOMES),
            since=known(query.get("since", ""), SINCE),
            sort=known(query.get("sort", ""), SORTS) or "failures",
        )

    @property
    def any(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.domain or self.source or self.state or self.outcome or self.since)

    def query(self, **changes: str) -> str:
        """The query string of these filters with some changed, without what is default."""
        values = asdict(self) | changes
        if values["sort"] == "failures":
            values["sort"] = ""
        return "?" + urlencode({key: value for key, value in values.items() if value})

    def lists(self, now: datetime) -> list[QuerySet[Fetch]]:
        """What is asked for, as lists one after the other; each is then in order of time."""
        asked = self._asked(now)
        if self.sort == "newest" or self.outcome or self._is_open:
            return [asked]
        return [asked.filter(**{self._column("outcome"): outcome}) for outcome in _WORST_FIRST]

    @property
    def _is_open(self) -> bool:
        return self.state in (OPEN, Fetch.State.QUEUED, Fetch.State.RUNNING)

    def _asked(self, now: datetime) -> QuerySet[Fetch]:
        asked = Fetch.objects.select_related("requested_by")
        if self.domain:
            bare = {f"bare_{name}": Coalesce(name, Value("")) for name in ("outcome", "source")}
            asked = asked.alias(**bare).filter(domain=as_stored(self.domain))
        if self.source:
            asked = asked.filter(**{self._column("source"): self.source})
        if self.state == OPEN:
            asked = asked.exclude(state=Fetch.State.DONE)
        elif self.state:
            asked = asked.filter(state=self.state)
        if self._is_open and not self.outcome:
            # The index knows outcomes, and what is open has none.
            asked = asked.filter(**{self._column("outcome"): ""})
        if self.outcome:
            asked = asked.filter(**{self._column("outcome"): self.outcome})
        if self.since:
            asked = asked.filter(queued_at__gte=now - _SPANS[self.since])
        return asked

    def _column(self, name: str) -> str:
        """The column to compare: within a domain one that no index knows.

        SQLite's planner would rather walk through all that failed than through a domain's rows.
        """
        return f"bare_{name}" if self.domain else name
