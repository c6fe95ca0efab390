"""The downgrade alarm: alerts on policies that vanish or weaken without having been phased out.

`sighting.of` says what a look found worth noting, `note` writes it down. What counts as a
downgrade is decided in `judge`, without a database (docs/decisions/0009-alarm.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from policies.alerts.keeping import forget, note, tidy
from policies.alerts.kinds import Kind, Severity, State
from policies.alerts.sighting import Sighting
from policies.models import Alert

__all__ = ["Kind", "OpenCounts", "Severity", "Sighting", "State", "forget", "note", "open_counts",
           "tidy"]  # fmt: skip


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
