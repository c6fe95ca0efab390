"""Numbers of lookups by day, days without any among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Numbers:
    """Lookups by how they ended. `asked`: those of mail servers among them."""

    success: int = 0
    fallback: int = 0
    failure: int = 0
    asked: int = 0

    @property
    def count(self) -> int:
        return self.success + self.fallback + self.failure

    def __add__(self, other: Numbers) -> Numbers:
        return Numbers(
            self.success + other.success,
            self.fallback + other.fallback,
            self.failure + other.failure,
            self.asked + other.asked,
        )


@dataclass(frozen=True, slots=True)
class Day:
    """The numbers of a UTC day."""

    day: date
    numbers: Numbers = Numbers()


def total(days: Iterable[Day]) -> Numbers:
    """All of them in one."""
    return sum((day.numbers for day in days), Numbers())


def filled(numbers: Mapping[date, Numbers], first: date, last: date) -> list[Day]:
    """Every day from `first` to `last`, oldest first."""
    span = (last - first).days + 1
    every = (first + timedelta(days=number) for number in range(span))
    return [Day(day, numbers.get(day, Numbers())) for day in every]
