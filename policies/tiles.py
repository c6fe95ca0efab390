"""The list's tiles: counts that are filters, and the chips that take filters away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies import listing
from policies.listing import Filters


@dataclass(frozen=True, slots=True)
class Tile:
    """A count, and the list of what it counts. `current`: that list is being shown."""

    label: str
    count: int
    query: str
    kind: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force, and the list without it."""

    label: str
    query: str


_TILES = (
    ("cached", "cached", {"state": "held"}, ""),
    ("enforce", "enforce", {"mode": "enforce"}, "ok"),
    ("testing", "testing", {"mode": "testing"}, "warn"),
    ("backing off", "backoff", {"state": "backoff"}, "bad"),
    ("expire within a day", "expiring", {"state": "expiring"}, "warn"),
    ("failing", "failing", {"state": "failing"}, "bad"),
    ("with alerts", "alerts", {"state": "alert"}, "bad"),
)


def tiles(counts: Mapping[str, int], filters: Filters) -> list[Tile]:
    """All tiles but those of exceptions and open fetches, which are lists of their own."""
    return [
        Tile(
            label,
            counts.get(key, 0),
            Filters(**wanted).query() or "?",
            kind=kind if counts.get(key) else "",
            current=filters == Filters(**wanted, sort=filters.sort),
        )
        for label, key, wanted, kind in _TILES
    ]


def number(counts: Mapping[str, int], filters: Filters) -> int | None:
    """How many policies these filters left when they were counted; None where no tile says so."""
    if not filters.any:
        return counts.get("cached", 0) + counts.get("backoff", 0)
    keys = (key for _, key, wanted, _ in _TILES if filters == Filters(**wanted, sort=filters.sort))
    return next((counts.get(key, 0) for key in keys), None)


def chips(filters: Filters) -> list[Chip]:
    """The filters in force, each with a way out."""
    found = []
    if filters.q:
        found.append(Chip(f"domain: {filters.q}", filters.query(q="") or "?"))
    for name, label, choices in (
        ("mode", "mode", listing.MODES),
        ("state", "state", listing.STATES),
        ("outcome", "outcome", listing.OUTCOMES),
        ("used", "used", listing.USED),
    ):
        value = getattr(filters, name)
        if value:
            words = next(choice.label for choice in choices if choice.value == value)
            found.append(Chip(f"{label}: {words}", filters.query(**{name: ""}) or "?"))
    return found
