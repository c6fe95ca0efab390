"""What is to be done: the queue and the refresh."""

from __future__ import annotations

from datetime import datetime, timedelta

from mtastsweb.environment import PROGRAM
from policies import jobs, queue
from policies.models import Fetch, Lease, PolicyRecord
from policies.status.parts import Fact, Item, State
from policies.status.processes import ABSENT, SILENT_AFTER

WAITS_LONG = timedelta(minutes=1)
DUE_COUNTED = 10_000


def waiting(now: datetime) -> Item:
    """How much waits for a worker."""
    depth, oldest = queue.depth(now), queue.oldest_waiting(now)
    facts = (
        Fact("Waiting", str(depth.waiting)),
        Fact("Taken by workers", str(depth.taken)),
        Fact("Oldest waits for", f"{oldest.total_seconds():.0f} s" if oldest else "–"),
    )
    if oldest and oldest > WAITS_LONG:
        todo = "Workers are busy or absent. See above; WORKERS says how many there are."
        return Item("Queue", State.WARN, "waits long", facts, todo)
    return Item("Queue", State.OK, "flows", facts)


def refreshes(now: datetime) -> Item:
    """When policies were and will be fetched anew."""
    planned = queue.next_run(queue.TICK)
    last = (
        Fetch.objects.filter(source=Fetch.Source.REFRESH)
        .order_by("-queued_at", "-pk")
        .values_list("finished_at", flat=True)
        .first()
    )
    lease = Lease.objects.filter(name=jobs.LEASE).first()
    due = PolicyRecord.objects.due(now).order_by()[:DUE_COUNTED].count()
    running = lease is not None and lease.until is not None and lease.until > now
    facts = (
        Fact("Last one that fetched", moment=last, is_moment=True),
        Fact("Next round", moment=planned, is_moment=True),
        Fact("A round is under way", "yes" if running else "no"),
        Fact("Policies due now", f"{due}" if due < DUE_COUNTED else f"{DUE_COUNTED:,} or more"),
    )
    if planned is None:
        return Item("Refresh", State.BAD, "not planned", facts, f"Run `{PROGRAM} migrate`.")
    if now - planned > SILENT_AFTER:
        return Item("Refresh", State.BAD, "overdue", facts, ABSENT["worker"])
    return Item("Refresh", State.OK, "planned", facts)
