"""The list of policies: filters, sorting and paging that stay fast on a million rows.

A page is found by the key of the row before it (keyset paging), not by counting rows. All state
is in the query string, and whatever stands there, a sensible page comes out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from policies import exceptions
from policies.models import PolicyRecord
from policies.models.policy import NEVER
from policies.mtasts import DomainNameError, parse_domain
from policies.narrowing import Condition, Narrowed, all_of, narrow
from policies.tlsrpt.result import PolicyType, ResultType

T = TypeVar("T", bound=Any)
Rows = TypeVar("Rows", bound=QuerySet[Any])

PAGE = 50
"""Rows of a page."""

SEARCH_LIMIT = 255
SOON = timedelta(days=1)

TRIGRAM = 3
"""Characters that a part of a name needs for PostgreSQL's index to find it."""

LAST = "\U0010ffff"
"""Sorts after every character of a domain."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a filter may have, and what it is called."""

    value: str
    label: str


MODES = tuple(Choice(mode, mode) for mode in PolicyRecord.Mode.values)
STATES = (
    Choice("held", "holds a policy"),
    Choice("valid", "valid"),
    Choice("expiring", "expires within a day"),
    Choice("expired", "expired"),
    Choice("backoff", "fetch failed, backing off"),
    Choice("failing", "last lookup failed"),
    Choice("edited", "edited here"),
    Choice("alert", "has an open alert"),
    Choice("exception", "has an exception of its own"),
    Choice("unused", "never used"),
)


OUTCOMES = (
    Choice("sts", "policy in force"),
    Choice("no-policy-found", "no policy in force"),
    *(Choice(result_type, result_type) for result_type in ResultType),
    Choice("none", "none yet"),
)
"""Latest outcomes: a result type where something failed, else a policy type."""


USED = (
    Choice("hour", "within an hour"),
    Choice("day", "within a day"),
    Choice("week", "within a week"),
    Choice("month", "within 30 days"),
)
_USED_WITHIN = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Sort:
    """An order that an index serves.

    `columns`: as `order_by` takes them. The domain comes last, and tells rows apart.
    """

    columns: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(column.removeprefix("-") for column in self.columns)

    @property
    def field(self) -> str:
        """The one by which rows come first."""
        return self.fields[0]

    @property
    def descends(self) -> bool:
        """Whether that one does."""
        return _descends(self.columns[0])

    @property
    def reversed(self) -> Sort:
        """The same index, read from its other end."""
        return Sort(tuple(map(_reversed, self.columns)))


def _descends(column: str) -> bool:
    return column.startswith("-")


def _reversed(column: str) -> str:
    return column.removeprefix("-") if _descends(column) else f"-{column}"


COLUMNS = {
    "last_use": Sort(("-last_use_key", "domain")),
    "domain": Sort(("domain",)),
    "mode": Sort(("mode", "-last_use_key", "domain")),
    "outcome": Sort(("-outcome_type", "-outcome_failure", "-last_use_key", "domain")),
    "valid_until": Sort(("valid_end", "domain")),
}
"""By each column that sorts, in the order that is looked for most often: what failed first."""

SORTS = COLUMNS | {_reversed(name): sort.reversed for name, sort in COLUMNS.items()}
DEFAULT_SORT = "last_use"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is asked to show. Fields are empty where nothing is asked."""

    q: str = ""
    mode: str = ""
    state: str = ""
    outcome: str = ""
    used: str = ""
    sort: str = DEFAULT_SORT

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From a query string; what is unknown there asks for nothing."""
        return cls(
            q=typed(query.get("q", "")),
            mode=known(query.get("mode", ""), MODES),
            state=known(query.get("state", ""), STATES),
            outcome=known(query.get("outcome", ""), OUTCOMES),
            used=known(query.get("used", ""), USED),
            sort=sort if (sort := query.get("sort", "")) in SORTS else DEFAULT_SORT,
        )

    @property
    def order(self) -> Sort:
        """The order that is asked for. Rows of one mode, or of one outcome, come by their use."""
        column = self.sort.removeprefix("-")
        if (column == "mode" and self.mode) or (column == "outcome" and self.outcome):
            return SORTS[self.sort.replace(column, "last_use")]
        return SORTS[self.sort]

    @property
    def any(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.q or self.mode or self.state or self.outcome or self.used)

    def query(self, **changes: str) -> str:
        """The query string of these filters with some changed, without what is default."""
        values = {
            "q": self.q,
            "mode": self.mode,
            "state": self.state,
            "outcome": self.outcome,
            "used": self.used,
            "sort": self.sort,
        } | changes
        if values["sort"] == DEFAULT_SORT:
            values["sort"] = ""
        return "?" + urlencode({key: value for key, value in values.items() if value})

    def apply(self, records: Rows, now: datetime) -> Rows:
        """The rows that are asked for."""
        return all_of(records, self.conditions(now))

    def conditions(self, now: datetime) -> list[Condition]:
        """What is asked for, one by one."""
        found = [_about(self.q)] if self.q else []
        if self.mode:
            # The mode of a row that backs off is not one.
            found.append(Condition(Q(mode=self.mode), Q(backoff=False), _BY_USE))
        if self.state:
            found.append(_state(self.state, now))
        if self.outcome:
            policy_type, result_type = outcome_columns(self.outcome)
            outcome = Q(outcome_type=policy_type, outcome_failure=result_type)
            found.append(Condition(outcome, order=_BY_USE))
        if self.used:
            since = now - _USED_WITHIN[self.used]
            found.append(Condition(Q(last_use_key__gte=since), order=_BY_USE))
        return found


def outcome_columns(outcome: str) -> tuple[str, str]:
    """The policy type and result type that rows with one of `OUTCOMES` hold."""
    if outcome == "none":
        return "", ""
    if outcome in list(PolicyType):
        return outcome, ""
    return PolicyType.STS, outcome  # a domain without a policy has nothing that fails


def search(records: Rows, text: str) -> Rows:
    """Rows whose domain is asked for so (see `about`)."""
    text = text.replace("\0", "").strip()[:SEARCH_LIMIT]
    return all_of(records, [_about(text)] if text else [])


def filter_state(records: Rows, state: str, now: datetime | None = None) -> Rows:
    """Rows in one of `STATES`; all rows for any other word."""
    given = known(state, STATES)
    return all_of(records, [_state(given, now or timezone.now())] if given else [])


def typed(text: str) -> str:
    """What somebody typed into a field, as databases take it."""
    return text.replace("\0", "").strip()[:SEARCH_LIMIT]


def row_number(text: str) -> int | None:
    """From a query string; None for what cannot be the number of a row in any database."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_number else None


def known(value: str, choices: tuple[Choice, ...]) -> str:
    """The value, where it is one of these; else none."""
    return value if any(value == choice.value for choice in choices) else ""


def about(text: str) -> Q:
    """A part of a domain; "exam*": its beginning; "=example.org": all of it.

    A whole name in A-labels is looked for as rows name it.
    """
    return _about(text).whole


def _about(text: str) -> Condition:
    if text.startswith("="):
        return Condition(Q(domain=as_stored(text[1:].strip())))
    if text.endswith("*"):
        return _begins(text[:-1].lower())
    return _holds(as_stored(text))


def _begins(start: str) -> Condition:
    if not start:
        return Condition()
    if connection.vendor == "postgresql":
        # This has an index there, whatever the collation. Where the order is by domain, the other
        # index is entered at the start, and left at the end where the collation tells it: else the
        # last page of a frequent beginning reads on to the end of the table.
        begins = Q(domain__startswith=start, domain__gte=start)
        if end := _end_of(start):
            begins &= Q(domain__lt=end)
        return Condition(begins, order="domain", is_loose=True)
    return Condition(Q(domain__gte=start, domain__lt=start + LAST), order="domain")


def _end_of(start: str) -> str:
    """What sorts after all that begins so, on PostgreSQL; empty where that is not known."""
    collation = _collation()
    if collation.partition(".")[0] in ("C", "POSIX"):
        return start + LAST
    # In English a name comes after another one by its letters, whatever is between or upon them.
    # Elsewhere two letters may count as one: "ch" comes after "h" in Czech.
    letters = start.isascii() and start.isalnum() and start[-1] not in "9z"
    if collation.startswith("en_") and letters:
        return start[:-1] + chr(ord(start[-1]) + 1)
    return ""


@cache
def _collation() -> str:
    """The database's, as its server names it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()")
        return str(cursor.fetchone()[0])


def _holds(part: str) -> Condition:
    holds = Q(domain__contains=part)
    if connection.vendor != "postgresql":
        return Condition(rest=holds)
    if len(part) < TRIGRAM:
        return Condition(rest=holds, reads_names=True)
    return Condition(holds, reads_names=True)


def as_stored(text: str) -> str:
    """A domain as rows name it, whichever way it was typed."""
    try:
        return parse_domain(text).unicode
    except DomainNameError:
        return text.lower()


_BY_USE, _BY_END = "last_use_key", "valid_end"


def _state(state: str, now: datetime) -> Condition:
    holds = Q(backoff=False)
    match state:
        case "held":
            return Condition(rest=holds)
        case "valid":
            return Condition(Q(valid_end__gt=now), holds, _BY_END, is_most=True)
        case "expiring":
            return Condition(Q(valid_end__gt=now, valid_end__lte=now + SOON), holds, _BY_END)
        case "expired":
            return Condition(Q(valid_end__lte=now), order=_BY_END)
        case "backoff":
            return Condition(Q(backoff=True), order=_BY_USE)
        case "failing":
            return Condition(Q(outcome_failure__gt=""), order=_BY_USE)
        case "alert":
            return Condition(Q(open_alerts__isnull=False), order=_BY_USE)
        case "exception":
            return Condition(Q(domain__in=exceptions.own_domains(now)))
        case "edited":
            return Condition(Q(edited__isnull=False), order=_BY_USE)
        case _:
            return Condition(Q(last_use_key=NEVER), order=_BY_USE)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursors of what lies around them; empty where nothing does.

    `order`: that in which they come, where a page may choose it. `total`: how many rows there are
    on all pages, where that was counted.
    """

    rows: list[T]
    before: str = ""
    after: str = ""
    order: Sort | None = None
    total: int | None = None


_TIMES = ("last_use_key", "valid_end")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins or ends: what a row has in each column of the order."""

    values: tuple[Any, ...]

    @classmethod
    def at(cls, row: Any, sort: Sort) -> Cursor:
        return cls(tuple(getattr(row, field) for field in sort.fields))

    def __str__(self) -> str:
        values = [
            value.isoformat() if isinstance(value, datetime) else value for value in self.values
        ]
        text = json.dumps(values, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, sort: Sort) -> Cursor | None:
        """From a query string; None for what is none of ours."""
        try:
            padded = text + "=" * (-len(text) % 4)
            values = json.loads(base64.b64decode(padded, b"-_", validate=True))
            if not isinstance(values, list) or len(values) != len(sort.fields):
                return None
            return cls(tuple(map(_value, sort.fields, values)))
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None


def _value(field: str, text: object) -> datetime | str:
    """As a database can compare it with the column. Raises ValueError and TypeError."""
    if not isinstance(text, str) or "\0" in text:
        raise ValueError(text)
    text.encode()  # no database takes half of a surrogate pair
    if field not in _TIMES:
        return text
    moment = datetime.fromisoformat(text)
    if not moment.tzinfo:
        raise ValueError(text)
    return moment.astimezone(UTC)


def page(
    records: QuerySet[T],
    sort: Sort,
    conditions: Sequence[Condition] = (),
    *,
    after: str = "",
    before: str = "",
    size: int = PAGE,
    counting: bool = False,
) -> Page[T]:
    """The rows that meet all conditions, after or before a cursor.

    The first ones for none, for one that is none of ours, and where all those have gone meanwhile.
    In another order than that of `sort` where too many rows match to find the first ones so.
    `counting`: all that match are counted where an index finds few, for one more query.
    """
    narrowed = narrow(records, conditions, sort.field)
    total = narrowed.records.count() if counting and narrowed.few else None
    if sort.field != narrowed.order:
        sort = next(each for each in COLUMNS.values() if each.field == narrowed.order)
    back = Cursor.read(before, sort) if before else None
    cursor = back or (Cursor.read(after, sort) if after else None)
    found = _read(narrowed, sort.reversed if back else sort, cursor, size + 1)
    if not found and cursor:
        cursor = back = None
        found = _read(narrowed, sort, None, size + 1)
    if not found:
        return Page([], order=sort, total=total)
    more = len(found) > size
    found = found[:size]
    if back:
        found.reverse()
    has_before = more if back else cursor is not None
    has_after = True if back else more
    return Page(
        found,
        before=str(Cursor.at(found[0], sort)) if has_before else "",
        after=str(Cursor.at(found[-1], sort)) if has_after else "",
        order=sort,
        total=total,
    )


def _read(narrowed: Narrowed[T], sort: Sort, cursor: Cursor | None, size: int) -> list[T]:
    """So many rows from a cursor on."""
    found: list[T] = []
    for part in _beyond(sort, cursor):
        found += narrowed.first(part, sort.columns, size - len(found))
        if len(found) == size:
            break
    return found


def _beyond(sort: Sort, cursor: Cursor | None) -> Iterator[Q]:
    """What lies beyond a cursor, in parts that follow each other, each a range of the index: what
    it has in common with the row there in all columns but the last, then in all but the last two,
    and so on. As one condition a database would read all rows with its key anew for each page."""
    if cursor is None:
        yield Q()
        return
    for at in reversed(range(len(sort.columns))):
        same = zip(sort.fields[:at], cursor.values, strict=False)
        direction = "lt" if _descends(sort.columns[at]) else "gt"
        yield Q(*same, (f"{sort.fields[at]}__{direction}", cursor.values[at]))
