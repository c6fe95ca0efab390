"""`/fetches/`: the log of fetches, filtered and paged, and fast at millions of rows.

"Failures first" is one list after another, one for each way to end, each in order of time: an
index serves every one of them, and a page is found by the key of the row before it. Whatever
stands in the query string, a sensible page comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    F,
    Func,
    QuerySet,
    Value,
)
from django.db.models.functions import Coalesce

from policies.listing import PAGE, SEARCH_LIMIT, Choice, Page
from policies.models import Fetch
from policies.mtasts import DomainNameError, parse_domain

Dated = TypeVar("Dated", bound=Any)

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
            domain=query.get("domain", "").replace("\0", "").strip()[:SEARCH_LIMIT],
            source=_known(query.get("source", ""), SOURCES),
            state=_known(query.get("state", ""), STATES),
            outcome=_known(query.get("outcome", ""), OUTCOMES),
            since=_known(query.get("since", ""), SINCE),
            sort=_known(query.get("sort", ""), SORTS) or "failures",
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
        asked = Fetch.objects.all()
        if self.domain:
            bare = {f"bare_{name}": Coalesce(name, Value("")) for name in ("outcome", "source")}
            asked = asked.alias(**bare).filter(domain=_as_stored(self.domain))
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


def _known(value: str, choices: tuple[Choice, ...]) -> str:
    return value if any(value == choice.value for choice in choices) else ""


def _as_stored(text: str) -> str:
    try:
        return parse_domain(text).unicode
    except DomainNameError:
        return text.lower()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins or ends: which of the lists, and the time and number of a row."""

    at: int
    queued_at: datetime
    pk: int

    def __str__(self) -> str:
        return f"{self.at}.{int(self.queued_at.timestamp() * 1_000_000)}.{self.pk}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """From a query string; None for what is none of ours."""
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        at, microseconds, pk = (int(part[:18]) for part in parts)
        try:
            return cls(at, _EPOCH + timedelta(microseconds=microseconds), pk)
        except OverflowError:
            return None


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def page(
    lists: Sequence[QuerySet[Dated]],
    *,
    after: str = "",
    before: str = "",
    size: int = PAGE,
    moment: str = "queued_at",
    by: str = "requested_by",
) -> Page[Dated]:
    """The rows after or before a place; the first ones for none, or one that is none of ours.

    `moment`: the column that orders each list, then the key does. `by`: the user that rows name.
    As many queries as lists are needed to fill the page.
    """
    back = Place.read(before) if before else None
    place = back or (Place.read(after) if after else None)
    if place and place.at >= len(lists):
        back = place = None
    found: list[tuple[int, Dated]] = []
    for at in _order(len(lists), place, back=back is not None):
        rows = lists[at].select_related(by)
        if place and place.at == at:
            rows = rows.filter(beyond(place, back=back is not None, moment=moment))
        order = (moment, "pk") if back else (f"-{moment}", "-pk")
        found += [(at, row) for row in rows.order_by(*order)[: size + 1 - len(found)]]
        if len(found) > size:
            break
    more = len(found) > size
    found = found[:size][:: -1 if back else 1]
    if not found:
        return Page([])
    return Page(
        [row for _, row in found],
        before=_place(*found[0], moment) if (more if back else place) else "",
        after=_place(*found[-1], moment) if (back or more) else "",
    )


def _order(count: int, place: Place | None, *, back: bool) -> range:
    """The lists to read, in the order to read them."""
    start = place.at if place else 0
    return range(start, -1, -1) if back else range(start, count)


def _place(at: int, row: Any, moment: str) -> str:
    return str(Place(at, getattr(row, moment), row.pk))


class _Row(Func):
    """`(a, b)`, which databases compare as a whole, by one range of an index."""

    template = "(%(expressions)s)"
    output_field = BooleanField()


class _Compared(Func):
    template = "%(expressions)s"
    output_field = BooleanField()


def beyond(place: Place, *, back: bool, moment: str = "queued_at") -> _Compared:
    """What lies after a place, or before it, in the order of time."""
    here = _Row(
        Value(place.queued_at, output_field=DateTimeField()),
        Value(place.pk, output_field=BigIntegerField()),
    )
    return _Compared(_Row(F(moment), F("pk")), here, arg_joiner=" > " if back else " < ")
