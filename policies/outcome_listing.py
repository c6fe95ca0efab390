"""`/outcomes/`: what was counted, filtered, summed up and paged, on the page and as CSV.

What is counted are the lookups that fit the filters, in rows, sums and chart alike: with a result
type asked for, a row shows those of its lookups that failed so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from django.db.models import F, Func, IntegerField, Q, QuerySet, Sum, Value
from django.db.models.lookups import GreaterThan, LessThan

from policies import listing, spreadsheet
from policies.listing import PAGE, Choice, Page
from policies.models import Outcome, OutcomeFailure, OutcomeTotal, PolicyRecord
from policies.mtasts import parse_domain
from policies.outcomes.days import Day, Numbers, filled
from policies.tlsrpt import words
from policies.tlsrpt.result import ResultType

SPANS = (
    Choice("1", "today"),
    Choice("7", "7 days"),
    Choice("30", "30 days"),
    Choice("90", "90 days"),
)
SOURCES = (
    Choice(Outcome.Source.LOOKUP, "mail servers"),
    Choice(Outcome.Source.OPERATOR, "operators"),
    Choice(Outcome.Source.REFRESH, "the refresh"),
)
TYPE_LIMIT = 64
CSV_CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page is asked to show. Fields are empty where nothing is asked.

    `failures`: only lookups that failed, whether or not a cached policy applied all the same.
    `days`: so many, today among them.
    """

    q: str = ""
    type: str = ""
    source: str = ""
    failures: bool = False
    days: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From a query string; what is unknown there asks for nothing."""
        days, source = query.get("days", ""), query.get("source", "")
        return cls(
            q=query.get("q", "").replace("\0", "").strip()[: listing.SEARCH_LIMIT],
            type=query.get("type", "").replace("\0", "")[:TYPE_LIMIT],
            source=source if source in Outcome.Source.values else "",
            failures=query.get("failures", "") == "1",
            days=int(days) if any(days == choice.value for choice in SPANS) else 1,
        )

    @property
    def any(self) -> bool:
        """Whether anything is left out but other days."""
        return bool(self.q or self.type or self.source or self.failures)

    def query(self, **changes: str) -> str:
        """The query string of these filters with some changed, without what is default."""
        values = {
            "q": self.q,
            "type": self.type,
            "source": self.source,
            "failures": "1" if self.failures else "",
            "days": str(self.days) if self.days > 1 else "",
        } | changes
        return "?" + urlencode({key: value for key, value in values.items() if value})

    def since(self, today: date) -> date:
        """The first day asked for."""
        return today - timedelta(days=self.days - 1)

    def fitting(self, numbers: Numbers) -> Numbers:
        """Those lookups of a whole row that fit."""
        return replace(numbers, success=0) if self.failures else numbers


@dataclass(frozen=True, slots=True)
class Detail:
    """A failure detail of a row, in words."""

    failure: OutcomeFailure
    outcome: words.Outcome


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the page: `numbers` of the lookups that fit. `is_cached`: it has a policy page."""

    row: Outcome
    numbers: Numbers
    details: list[Detail]
    is_cached: bool = False

    @property
    def ascii(self) -> str:
        """The domain in A-labels; empty for a row that has none."""
        return parse_domain(self.row.domain).ascii if self.row.domain else ""


def rows(filters: Filters, today: date) -> QuerySet[Outcome]:
    """The rows that hold a lookup that fits."""
    since = filters.since(today)
    found = Outcome.objects.filter(_ours(filters), day__range=(since, today))
    if filters.failures:
        found = found.filter(failed__gt=0)
    if filters.type:
        failed_so = OutcomeFailure.objects.filter(
            result_type=filters.type, day__range=(since, today)
        )
        found = found.filter(~_RESOLVER, pk__in=failed_so.values("outcome"))
    return found


_RESOLVER = Q(kind=Outcome.Kind.RESOLVER)


def _ours(filters: Filters) -> Q:
    wanted = Q(source=filters.source) if filters.source else Q()
    if not filters.q:
        return wanted
    asked = listing.about(filters.q) & Q(kind=Outcome.Kind.DOMAIN)
    if filters.q.startswith("="):
        return wanted & asked
    # Names first, by their index: each has a row a day, and the planners would read them all.
    names = Outcome.objects.filter(asked).order_by().values("domain").distinct()
    return wanted & Q(domain__in=names)


def page(
    filters: Filters, today: date, *, after: str = "", before: str = "", size: int = PAGE
) -> Page[Line]:
    """The latest day first; in a day what failed most, then what came last."""
    back = read_cursor(before)
    cursor = back or read_cursor(after)
    found = rows(filters, today)
    if cursor:
        beyond = GreaterThan if back else LessThan
        found = found.filter(beyond(_KEY, _row(*map(Value, cursor))))
    order = ("day", "failed", "id") if back else ("-day", "-failed", "-id")
    some = list(_with_details(found.order_by(*order))[: size + 1])
    more = len(some) > size
    some = some[:size]
    if back:
        some.reverse()
    if not some:
        return Page([])
    return Page(
        list(_lines(some, filters)),
        before=_cursor(some[0]) if (more if back else cursor) else "",
        after=_cursor(some[-1]) if (back or more) else "",
    )


def _row(*expressions: F | Value) -> Func:
    # Compared as a whole, so that an index over the three leads straight to the page.
    return Func(*expressions, template="(%(expressions)s)", output_field=IntegerField())


_KEY = _row(F("day"), F("failed"), F("id"))
_CURSOR = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}),([0-9]{1,18}),([0-9]{1,18})", re.ASCII)


def _cursor(row: Outcome) -> str:
    return f"{row.day},{row.failed},{row.pk}"


def read_cursor(text: str) -> tuple[date, int, int] | None:
    """The place that a query string names; None for what is none of ours."""
    match = _CURSOR.fullmatch(text)
    try:
        return match and (date.fromisoformat(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _with_details(found: QuerySet[Outcome]) -> QuerySet[Outcome]:
    return found.prefetch_related("policy", "details")


def _lines(some: Iterable[Outcome], filters: Filters) -> Iterator[Line]:
    some = list(some)
    domains = [row.domain for row in some if row.domain]
    cached = set(PolicyRecord.objects.filter(domain__in=domains).values_list("domain", flat=True))
    for row in some:
        yield _line(row, filters, is_cached=row.domain in cached)


def _line(row: Outcome, filters: Filters, *, is_cached: bool = False) -> Line:
    details = [
        Detail(failure, words.failure(failure.result_type, failure.reason))
        for failure in sorted(row.details.all(), key=lambda failure: -failure.count)
        if not filters.type or failure.result_type == filters.type
    ]
    if not filters.type:
        return Line(row, filters.fitting(_numbers(row)), details, is_cached)
    fallbacks = sum(detail.failure.count for detail in details if detail.failure.fallback)
    failed = sum(detail.failure.count for detail in details)
    return Line(row, Numbers(0, fallbacks, failed - fallbacks), details, is_cached)


def _numbers(row: Outcome) -> Numbers:
    return Numbers(row.successes, row.fallbacks, row.failures)


def by_day(filters: Filters, today: date) -> list[Day]:
    """The lookups that fit, on each day, oldest first; without what our resolver failed at."""
    since = filters.since(today)
    numbers: defaultdict[date, Numbers] = defaultdict(Numbers)
    for day, source, count, failed, fallbacks in _sums(filters, today):
        fit = failed if filters.failures else count
        asked = fit if source == Outcome.Source.LOOKUP else 0
        found = Numbers(count - failed, fallbacks, failed - fallbacks, asked)
        numbers[day] += filters.fitting(found)
    return filled(numbers, since, today)


def _sums(filters: Filters, today: date) -> Iterable[tuple[date, str, int, int, int]]:
    """Day, source, lookups, failed, fallbacks: from the sums, unless a domain is asked for."""
    if filters.q and filters.type:
        return _sums_of_details(filters, today)
    if filters.q:
        return _summed(rows(filters, today))
    return _summed(
        OutcomeTotal.objects.filter(
            ~_RESOLVER,
            _ours(filters),
            day__range=(filters.since(today), today),
            result_type=filters.type,
        )
    )


def _summed(found: QuerySet[Any]) -> Iterator[tuple[date, str, int, int, int]]:
    groups = found.order_by().values("day", "source")
    sums = groups.annotate(Sum("count"), Sum("failed"), Sum("fallbacks"))
    yield from sums.values_list("day", "source", "count__sum", "failed__sum", "fallbacks__sum")


def _sums_of_details(filters: Filters, today: date) -> Iterator[tuple[date, str, int, int, int]]:
    details = OutcomeFailure.objects.filter(
        outcome__in=rows(filters, today), result_type=filters.type
    )
    summed = details.order_by().values("day", "outcome__source", "fallback").annotate(Sum("count"))
    for row in summed:
        count = row["count__sum"]
        fallbacks = count if row["fallback"] else 0
        yield row["day"], row["outcome__source"], count, count, fallbacks


def resolver_failures(filters: Filters, today: date) -> int:
    """How many lookups our own resolver failed at; 0 where the filters ask for domains."""
    if filters.q or filters.type or filters.failures:
        return 0
    found = OutcomeTotal.objects.filter(
        _RESOLVER, _ours(filters), day__range=(filters.since(today), today), result_type=""
    )
    return found.aggregate(sum=Sum("count"))["sum"] or 0


def result_types(today: date) -> list[str]:
    """Those that we know, and whatever else was counted in the last 90 days."""
    since = today - timedelta(days=int(SPANS[-1].value) - 1)
    found = OutcomeTotal.objects.filter(day__gte=since).exclude(result_type="")
    return sorted({*ResultType, *found.values_list("result_type", flat=True).distinct()})


COLUMNS = (
    "day", "kind", "domain", "domain_unicode", "source", "policy_type", "lookups", "success",
    "fallback", "failure", "failures", "first_seen", "last_seen",
)  # fmt: skip


def csv_rows(filters: Filters, today: date) -> Iterator[str]:
    """Lines of CSV (RFC 4180) of all rows that fit, in the order of the page."""
    found = _with_details(rows(filters, today).order_by("-day", "-failed", "-id"))
    lines = (_columns(_line(row, filters)) for row in found.iterator(chunk_size=CSV_CHUNK))
    return spreadsheet.lines(chain([COLUMNS], lines))


def _columns(line: Line) -> tuple[object, ...]:
    row, numbers = line.row, line.numbers
    is_ours = row.kind == Outcome.Kind.RESOLVER
    return (
        row.day,
        row.kind,
        line.ascii,
        row.domain,
        row.source,
        row.policy.type,
        numbers.count,
        "" if is_ours else numbers.success,
        "" if is_ours else numbers.fallback,
        "" if is_ours else numbers.failure,
        "; ".join(f"{detail.failure} ×{detail.failure.count}" for detail in line.details),
        row.first_seen.isoformat(),
        row.last_seen.isoformat(),
    )
