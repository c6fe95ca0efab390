"""The list of policies: filters, sorting and paging that stay fast on a million rows.

A page is found by the key of the row before it (keyset paging), not by counting rows. All state
is in the query string, and whatever stands there, a sensible page comes out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from policies.models import PolicyRecord
from policies.models.policy import NEVER
from policies.mtasts import DomainNameError, parse_domain
from policies.tlsrpt.result import PolicyType, ResultType

T = TypeVar("T", bound=Any)
Rows = TypeVar("Rows", bound=QuerySet[Any])

PAGE = 50
"""Rows of a page."""

SEARCH_LIMIT = 255
SOON = timedelta(days=1)

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
    """An order that an index serves: by `field`, then by domain."""

    field: str
    descending: bool = False


SORTS = {
    "last_use": Sort("last_use_key", descending=True),
    "domain": Sort("domain"),
    "valid_until": Sort("valid_end"),
}
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
            q=query.get("q", "").replace("\0", "").strip()[:SEARCH_LIMIT],
            mode=_known(query.get("mode", ""), MODES),
            state=_known(query.get("state", ""), STATES),
            outcome=_known(query.get("outcome", ""), OUTCOMES),
            used=_known(query.get("used", ""), USED),
            sort=sort if (sort := query.get("sort", "")) in SORTS else DEFAULT_SORT,
        )

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
        if self.q:
            records = search(records, self.q)
        if self.mode:
            records = records.filter(mode=self.mode, backoff=False)
        if self.state:
            records = filter_state(records, self.state, now)
        if self.outcome:
            policy_type, result_type = outcome_columns(self.outcome)
            records = records.filter(outcome_type=policy_type, outcome_failure=result_type)
        if self.used:
            records = records.filter(last_use_key__gte=now - _USED_WITHIN[self.used])
        return records


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
    return records.filter(about(text)) if text else records


def filter_state(records: Rows, state: str, now: datetime | None = None) -> Rows:
    """Rows in one of `STATES`; all rows for any other word."""
    known = _known(state, STATES)
    return records.filter(_state(known, now or timezone.now())) if known else records


def _known(value: str, choices: tuple[Choice, ...]) -> str:
    return value if any(value == choice.value for choice in choices) else ""


def about(text: str) -> Q:
    """A part of a domain; "exam*": its beginning; "=example.org": all of it.

    A whole name in A-labels is looked for as rows name it.
    """
    if text.startswith("="):
        return Q(domain=_as_stored(text[1:].strip()))
    if text.endswith("*"):
        return _begins(text[:-1].lower())
    return Q(domain__contains=_as_stored(text))


def _begins(start: str) -> Q:
    if connection.vendor == "postgresql":
        return Q(domain__startswith=start)  # which has an index there, whatever the collation
    return Q(domain__gte=start, domain__lt=start + LAST) if start else Q()


def _as_stored(text: str) -> str:
    try:
        return parse_domain(text).unicode
    except DomainNameError:
        return text.lower()


def _state(state: str, now: datetime) -> Q:
    # The IN subqueries keep the planners on the index of the order, or of the end, whichever is
    # shorter; a plain condition has them sort a million rows.
    match state:
        case "held":
            return Q(backoff=False)
        case "valid":
            return Q(valid_end__gt=now, backoff=False)
        case "expiring":
            ends = PolicyRecord.objects.filter(valid_end__gt=now, valid_end__lte=now + SOON)
            return Q(pk__in=ends.values("pk"), backoff=False)
        case "expired":
            ended = PolicyRecord.objects.filter(valid_end__lte=now)
            return Q(pk__in=ended.values("pk"))
        case "backoff":
            return Q(backoff=True)
        case "failing":
            failed = PolicyRecord.objects.filter(outcome_type="sts", outcome_failure__gt="")
            return Q(pk__in=failed.values("pk"))
        case "edited":
            return Q(edited__isnull=False)
        case _:
            return Q(last_use_key=NEVER)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursors of what lies around them; empty where nothing does."""

    rows: list[T]
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins or ends: the sort key and the domain of a row."""

    key: Any
    domain: str

    def __str__(self) -> str:
        key = self.key.isoformat() if isinstance(self.key, datetime) else self.key
        text = json.dumps([key, self.domain], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, sort: Sort) -> Cursor | None:
        """From a query string; None for what is none of ours."""
        try:
            padded = text + "=" * (-len(text) % 4)
            key, domain = json.loads(base64.b64decode(padded, b"-_", validate=True))
            if not isinstance(key, str) or not isinstance(domain, str) or "\0" in key + domain:
                return None
            f"{key}{domain}".encode()  # no database takes half of a surrogate pair
            if sort.field == "domain":
                return cls(key, domain)
            moment = datetime.fromisoformat(key)
            return cls(moment.astimezone(UTC), domain) if moment.tzinfo else None
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None


def page(
    records: QuerySet[T], sort: Sort, *, after: str = "", before: str = "", size: int = PAGE
) -> Page[T]:
    """The rows after or before a cursor; the first ones for none, or one that is none of ours.

    The first ones, too, where all those have gone meanwhile.
    """
    back = Cursor.read(before, sort) if before else None
    cursor = back or (Cursor.read(after, sort) if after else None)
    # Going back, the same order is read from its other end.
    down = sort.descending is (back is None)
    sign = "-" if down else ""
    order = [f"{sign}{sort.field}"]
    if sort.field != "domain":
        order.append("-domain" if back else "domain")
    beyond = _beyond(sort.field, cursor, down=down, back=back is not None) if cursor else Q()
    found = list(records.filter(beyond).order_by(*order)[: size + 1])
    if not found:
        return page(records, sort, size=size) if cursor else Page([])
    more = len(found) > size
    found = found[:size]
    if back:
        found.reverse()
    has_before = more if back else cursor is not None
    has_after = True if back else more
    return Page(
        found,
        before=_cursor(found[0], sort) if has_before else "",
        after=_cursor(found[-1], sort) if has_after else "",
    )


def _beyond(field: str, cursor: Cursor, *, down: bool, back: bool) -> Q:
    direction = "lt" if down else "gt"
    if field == "domain":
        return Q(**{f"domain__{direction}": cursor.domain})
    # The first condition is what an index can use; the rest only decides among equal keys.
    beyond = Q(**{f"domain__{'lt' if back else 'gt'}": cursor.domain})
    return Q(**{f"{field}__{direction}e": cursor.key}) & (
        Q(**{f"{field}__{direction}": cursor.key}) | beyond
    )


def _cursor(row: Any, sort: Sort) -> str:
    return str(Cursor(getattr(row, sort.field), row.domain))
