"""By which index a page of the list is read, so that a million rows take no longer than a thousand.

A page is the first fifty rows, in some order, that meet some conditions. Where few rows meet one
of them, its index finds these, and they are sorted. Where many do, rows are read in order until
the page is full. Each way is quick just where the other one reads the whole table, and databases
choose badly: SQLite has no statistics, and PostgreSQL takes columns that go together for
independent. So the rows of each condition are counted first, no further than FEW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Coalesce

T = TypeVar("T", bound=Any)
Rows = TypeVar("Rows", bound=QuerySet[Any])

FEW = 5_000
"""So many rows are sorted at most. To find fifty of more than these by reading a million in order
takes no longer."""

SMALL = 20 * FEW
"""A table of so many rows is read to its end in time, whatever the order."""

NAMES = 5
"""To look at so many names in an index takes as long as to look at one row. PostgreSQL looks up the
row as well, unless nothing but the index's own columns is asked for."""

_BARE = "bare_"
_COLUMNS = (
    "domain", "mode", "backoff", "valid_end", "last_use_key", "outcome_type", "outcome_failure",
    "edited", "open_alerts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """Which rows are asked for.

    `index`: what an index finds, empty for nothing; `rest`: what is then looked at in each row.
    `order`: the field by which that index has the rows in order; `is_loose`: others are among
    them. `is_most`: hardly any row of the table fails it. `reads_names`: no index has its rows
    together, but each holds the name that decides.
    """

    index: Q = field(default_factory=Q)
    rest: Q = field(default_factory=Q)
    order: str = ""
    is_loose: bool = False
    is_most: bool = False
    reads_names: bool = False

    @property
    def whole(self) -> Q:
        return self.index & self.rest


@dataclass(frozen=True, slots=True)
class Narrowed(Generic[T]):
    """The rows that meet all conditions.

    `order`: the field by which they are to be read: the one that was asked for, or another one.
    `lead`: the condition whose index has them in that order, if one has. `few`: they are to be
    sorted, not read in order. `by_name`: where the names of those that are
    shown are to be found first, all rows there are.
    """

    records: QuerySet[T]
    order: str
    lead: Q = field(default_factory=Q)
    few: bool = False
    by_name: QuerySet[T] | None = None

    def first(self, beyond: Q, order: Sequence[str], count: int) -> list[T]:
        """So many of them in this order, from this place on."""
        if not self.few:
            rows = self.records.filter(_closest(self.lead, beyond)).order_by(*order)
            if self.by_name is not None:
                names = rows.values("domain")[:count]
                rows = self.by_name.filter(domain__in=names).order_by(*order)
            return list(rows[:count])
        bare = [f"-{_BARE}{name[1:]}" if name[0] == "-" else _BARE + name for name in order]
        return list(self.records.filter(_bare(beyond)).order_by(*bare)[:count])


def all_of(records: Rows, conditions: Sequence[Condition]) -> Rows:
    """The rows that meet all conditions, for whoever reads every one of them."""
    for each in conditions:
        records = records.filter(each.whole)
    return records


def narrow(records: QuerySet[T], conditions: Sequence[Condition], order: str) -> Narrowed[T]:
    """The same, for whoever reads the first ones in this order.

    Takes a query for each condition that has an index, unless it is the only one and has the
    order.
    """
    if not conditions:
        return Narrowed(records, order)
    fewest: Condition | None = None
    least = FEW + 1
    if len(conditions) > 1 or not _has_order(conditions[0], order):
        for each in conditions:
            if each.index and (count := _count(records, each)) < min(least, _few(each) + 1):
                fewest, least = each, count
    order = order if fewest else _served(records, conditions, order)
    every = records
    # Bare of indexes is what is to be looked at in rows that are found some other way.
    records = records.alias(**{_BARE + name: Coalesce(name, name) for name in _COLUMNS})
    lead = fewest or next((each for each in conditions if each.order == order), None)
    for each in conditions:
        index = Q() if each is lead else _look_at(each.index)
        records = records.filter(index, _look_at(each.rest))
    if fewest:
        return Narrowed(records.filter(fewest.index), order, few=True)
    reads_names = any(each.reads_names for each in conditions)
    return Narrowed(
        records,
        order,
        lead=lead.index if lead else Q(),
        by_name=every if reads_names else None,
    )


def _served(records: QuerySet[Any], conditions: Sequence[Condition], order: str) -> str:
    """The order in which fifty of many rows are found soon: the one asked for, where it is one.

    Names tell nothing of times. But what expires first was used last, and what backs off ends in
    minutes: who looks for the one in the order of the other may read the whole table in vain.
    """
    orders = [each.order for each in conditions if not each.is_most]
    others = [each for each in orders if each not in ("", "domain", order)]
    if order == "domain" or order in orders or not others:
        return order
    last = records.model._default_manager.aggregate(last=Max("pk"))["last"] or 0
    return others[0] if last > SMALL else order


def _has_order(condition: Condition, order: str) -> bool:
    return condition.order == order and not condition.is_loose


def _few(condition: Condition) -> int:
    return FEW // NAMES if condition.reads_names else FEW


def _count(records: QuerySet[Any], condition: Condition) -> int:
    rows = records.model._default_manager.filter(condition.index)
    return int(rows.order_by()[: _few(condition) + 1].count())


def _closest(lead: Q, beyond: Q) -> Q:
    """Both, of two bounds on the same side the wider one bare: SQLite enters an index at whichever
    it is given first, and reads on from there."""
    is_plain = lead.connector == Q.AND and not lead.negated
    if connection.vendor != "sqlite" or not is_plain:
        return lead & beyond
    bounds: list[Any] = [*lead.children, *beyond.children]
    both = Q()
    for bound in bounds:
        rivals = [each for each in bounds if each != bound and _side(each[0]) == _side(bound[0])]
        is_wider = any(_is_closer(each, bound[1]) for each in rivals)
        both &= Q(_bare(bound)) if is_wider else Q(bound)
    return both


def _is_closer(bound: tuple[str, Any], value: Any) -> bool:
    lookup, other = bound
    if "__gt" in lookup:
        return bool(other > value)
    return "__lt" in lookup and bool(other < value)


def _side(lookup: str) -> str:
    """`valid_end__gt` for "valid_end__gte" as well."""
    return lookup.removesuffix("e") if lookup.endswith(("__gte", "__lte")) else lookup


def _look_at(condition: Q) -> Q:
    # PostgreSQL knows how many rows each condition leaves, unless it is bare.
    return _bare(condition) if connection.vendor == "sqlite" else condition


def _bare(condition: Any) -> Any:
    """The same condition under names that no index knows."""
    if isinstance(condition, tuple):
        lookup, value = condition
        return _BARE + lookup, value
    copy = condition.copy()
    copy.children = [_bare(child) for child in condition.children]
    return copy
