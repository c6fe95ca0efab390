"""Leases: things that one process at a time may do, across machines."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import Q

from policies.models import Lease


@contextmanager
def held(name: str, span: timedelta, now: datetime) -> Iterator[bool]:
    """Whether the lease is ours inside the block. It ends with the block, or after `span`."""
    holder = uuid.uuid4().hex
    Lease.objects.get_or_create(name=name)
    free = Q(until=None) | Q(until__lte=now)
    ours = Lease.objects.filter(free, name=name).update(holder=holder, until=now + span) == 1
    try:
        yield ours
    finally:
        if ours:
            Lease.objects.filter(name=name, holder=holder).update(holder="", until=None)


PAUSED = "paused"


def pause(name: str, until: datetime) -> None:
    """Keep everybody from the lease until then. Who holds it goes on to the end of its block."""
    Lease.objects.update_or_create(name=name, defaults={"holder": PAUSED, "until": until})


def resume(name: str) -> bool:
    """End a pause; whether there was one."""
    return bool(Lease.objects.filter(name=name, holder=PAUSED).update(holder="", until=None))


def paused_until(name: str, now: datetime) -> datetime | None:
    """When the pause ends; None where there is none."""
    lease = Lease.objects.filter(name=name, holder=PAUSED, until__gt=now).first()
    return lease.until if lease else None
