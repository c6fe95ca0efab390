"""How the product is: facts for /status/, what each means and what to do. No secret is in them."""

from __future__ import annotations

from datetime import datetime

from policies.models import Heartbeat
from policies.status.databases import database
from policies.status.machine import disk, versions
from policies.status.parts import Fact, Item, State
from policies.status.processes import processes
from policies.status.resolvers import resolver
from policies.status.settings import Checked, checked
from policies.status.work import refreshes, waiting

__all__ = ["Checked", "Fact", "Item", "State", "checked", "items"]


def items(now: datetime) -> list[Item]:
    """Every part of the product. A few queries each, whatever the number of rows."""
    beats = list(Heartbeat.objects.order_by("kind", "node"))
    return [
        *processes("worker", beats, now),
        waiting(now),
        refreshes(now),
        database(),
        resolver(),
        disk(),
        *processes("socketmap", beats, now),
        *processes("web", beats, now),
        versions(),
    ]
