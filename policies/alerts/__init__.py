"""The downgrade alarm: alerts on policies that vanish or weaken without having been phased out.

`sighting.of` says what a look found worth noting, `note` writes it down. What counts as a
downgrade is decided in `judge`, without a database (docs/decisions/0009-alarm.md).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db.models import Count, Q

from policies.alerts.keeping import forget, note, tidy
from policies.alerts.kinds import Kind, Severity, State
from policies.alerts.sighting import Sighting
from policies.models import Alert

__all__ = ["Kind", "OpenCounts", "Severity", "Sighting", "State", "forget", "note", "open_counts",
           "tidy", "unread"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """How many alerts are open. `unread`: warnings that nobody has acknowledged."""

    by: dict[tuple[str, str, str], int]
    unread: int

    @property
    def total(self) -> int:
        return sum(self.by.values())


def open_counts() -> OpenCounts:
    """Open alerts by (severity, kind, state): one query, over what is open alone."""
    unread = Count("pk", filter=Q(acknowledged_at=None, severity=str(Severity.WARNING)))
    rows = (
        Alert.objects.filter(closed_at=None)
        .order_by()
        .values_list("severity", "kind", "state")
        .annotate(number=Count("pk"), unread=unread)
    )
    by, news = {}, 0
    for severity, kind, state, number, unread_number in rows:
        by[severity, kind, state] = number
        news += unread_number
    return OpenCounts(by, news)


def unread() -> int:
    """Open warnings that nobody has acknowledged, as of a few seconds ago.

    Every page shows it, and so it is counted once in a while in each process.
    """
    return _unread.get()


class _Remembered:
    """A count that is made anew when it is older than `AGE` seconds."""

    AGE = 10.0

    def __init__(self) -> None:
        self._made: float | None = None
        self._count = 0

    def get(self) -> int:
        now = time.monotonic()
        if self._made is None or now - self._made > self.AGE:
            self._count = Alert.objects.filter(
                closed_at=None, acknowledged_at=None, severity=str(Severity.WARNING)
            ).count()
            self._made = now
        return self._count

    def forget(self) -> None:
        """Count anew when asked next."""
        self._made = None


_unread = _Remembered()
