"""Charts drawn as SVG: no script, no inline style; the numbers stand in a table beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django import template

from policies.outcomes.days import Day

register = template.Library()

WIDTH, HEIGHT = 900, 130
TOP, BOTTOM = 1, 1
"""Room for the lines above and below the bars."""

GAP = 0.2
"""Of a day's width, between two bars."""

WIDEST = 48.0
SHORTEST = 2.0
"""What there is at all can be seen, however much else there is."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar. `kind`: the class that gives it its colour."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A day."""

    day: Day
    x: float
    width: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws, in the units of its viewBox."""

    title: str
    bars: tuple[Bar, ...]
    highest: int
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP
    ground: int = HEIGHT - BOTTOM


@register.inclusion_tag("outcomes/chart.html")
def day_chart(days: Sequence[Day], title: str) -> dict[str, Chart]:
    """Lookups by day, stacked: success at the bottom, then fallback, then failure."""
    highest = max((day.numbers.count for day in days), default=0)
    step = WIDTH / max(1, len(days))
    width = min(step * (1 - GAP), WIDEST)
    bars = (
        Bar(day, round(step * at + (step - width) / 2, 2), round(width, 2), _parts(day, highest))
        for at, day in enumerate(days)
    )
    return {"chart": Chart(title, tuple(bars), highest)}


def _parts(day: Day, highest: int) -> tuple[Part, ...]:
    return tuple(_stacked(day, highest)) if highest else ()


def _stacked(day: Day, highest: int) -> Iterator[Part]:
    room, y = HEIGHT - TOP - BOTTOM, float(HEIGHT - BOTTOM)
    numbers = day.numbers
    pieces = (("ok", numbers.success), ("warn", numbers.fallback), ("bad", numbers.failure))
    for kind, number in pieces:
        if number:
            height = max(SHORTEST, (room - len(pieces) * SHORTEST) * number / highest)
            y -= height
            yield Part(kind, round(y, 2), round(height, 2))
