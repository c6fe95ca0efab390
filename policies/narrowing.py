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
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

T = TypeVar("T", bound=Any)
Rows = TypeVar("Rows", bound=QuerySet[Any])

FEW = 5_000
"""So many rows are sorted at most. To find fifty of more than these by reading a million in order
takes no longer."""

NAMES = 5
"""To look at so many names in an index takes as long as to look at one row. PostgreSQL looks up the
row as well, unless nothing but the index's own columns is asked for."""

_BARE = "bare_"
_COLUMNS = (
    "domain", "mode", "backoff", "valid_end", "last_use_key", "outcome_type", "outcome_failure",
    "edited",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """Which rows are asked for.

    `index`: what an index finds, empty for nothing; `rest`: what is then looked at in each row.
    `order`: the field by which that index has the rows in order; `is_loose`: others are among
    them. `reads_names`: no index has its rows together, but each holds the name that decides.
    """

    index: Q = field(default_factory=Q)
    rest: Q = field(default_factory=Q)
    order: str = ""
    is_loose: bool = False
    reads_names: bool = False

    @property
    def whole(self) -> Q:
        return self.index & self.rest


@dataclass(frozen=True, slots=True)
class Narrowed(Generic[T]):
    """The rows that meet all conditions.

    `few`: they are to be sorted, not read in order. `by_name`: where the names of those that are
    shown are to be found first, all rows there are.
    """

    records: QuerySet[T]
    few: bool = False
    by_name: QuerySet[T] | None = None

    def first(self, beyond: Q, order: Sequence[str], count: int) -> list[T]:
        """So many of them in this order, from this place on."""
        if not self.few:
            rows = self.records.filter(beyond).order_by(*order)
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
    if not conditions or (len(conditions) == 1 and _has_order(conditions[0], order)):
        return Narrowed(all_of(records, conditions))
    fewest: Condition | None = None
    least = FEW + 1
    for each in conditions:
        if each.index and (count := _count(records, each)) < min(least, _few(each) + 1):
            fewest, least = each, count
    every = records
    # Bare of indexes is what is to be looked at in rows that are found some other way.
    records = records.alias(**{_BARE + name: Coalesce(name, name) for name in _COLUMNS})
    for each in conditions:
        leads = each is fewest if fewest else each.order == order
        records = records.filter(each.index if leads else _look_at(each.index), _look_at(each.rest))
    if fewest:
        return Narrowed(records, few=True)
    return Narrowed(
        records, by_name=every if any(each.reads_names for each in conditions) else None
    )


def _has_order(condition: Condition, order: str) -> bool:
    return condition.order == order and not condition.is_loose


def _few(condition: Condition) -> int:
    return FEW // NAMES if condition.reads_names else FEW


def _count(records: QuerySet[Any], condition: Condition) -> int:
    rows = records.model._default_manager.filter(condition.index)
    return int(rows.order_by()[: _few(condition) + 1].count())


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
