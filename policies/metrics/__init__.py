"""What the processes count, for Prometheus (docs/metrics.md).

Whoever has something to count calls a function of this package. In a service (`share`) the numbers
stand in files that all processes of this machine have in common, so that any of them can tell all;
elsewhere they end with the process. No label ever holds a name from outside.
"""

from __future__ import annotations

from policies.metrics.counting import (
    collected,
    fetched,
    looked,
    refreshed,
    requested,
    share,
    socketmap,
    task,
)

__all__ = [
    "collected",
    "fetched",
    "looked",
    "refreshed",
    "requested",
    "share",
    "socketmap",
    "task",
]
