"""Lists in the order of time, paged by key, and fast at millions of rows.

A page may go over several lists, one after the other, such as "failures first": an index serves
each of them, and a page is found by the time and the number of the row before it. Whatever stands
in the query string, a sensible page comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    F,
    Func,
    QuerySet,
    Value,
)

from policies.listing import PAGE, Page

Dated = TypeVar("Dated", bound=Any)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins or ends: which of the lists, and the time and number of a row."""

    at: int
    moment: datetime
    pk: int

    def __str__(self) -> str:
        return f"{self.at}.{int(self.moment.timestamp() * 1_000_000)}.{self.pk}"

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
    moment: str,
) -> Page[Dated]:
    """The rows after or before a place; the first ones for none, or one that is none of ours.

    `moment`: the column that orders each list, the latest first, then the key does. As many
    queries as lists are needed to fill the page.
    """
    back = Place.read(before) if before else None
    place = back or (Place.read(after) if after else None)
    if place and place.at >= len(lists):
        back = place = None
    found: list[tuple[int, Dated]] = []
    for at in _order(len(lists), place, back=back is not None):
        rows = lists[at]
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


def beyond(place: Place, *, back: bool, moment: str) -> _Compared:
    """What lies after a place, or before it, in the order of time."""
    here = _Row(
        Value(place.moment, output_field=DateTimeField()),
        Value(place.pk, output_field=BigIntegerField()),
    )
    return _Compared(_Row(F(moment), F("pk")), here, arg_joiner=" > " if back else " < ")
