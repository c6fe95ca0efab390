"""Leases: things that one process at a time may do, across machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import Q

from policies import forgetting, holders
from policies.models import Lease

TIMES = "#"
"""Between a token and how often the same was noted."""

ATTEMPTS = "3"


@contextmanager
def held(name: str, span: timedelta, now: datetime) -> Iterator[bool]:
    """Whether the lease is ours inside the block. It ends with the block, or after `span`."""
    holder = holders.token()
    free = Lease.objects.filter(Q(until=None) | Q(until__lte=now), name=name)
    taken = {"holder": holder, "until": now + span}
    ours = free.update(**taken) == 1
    if not ours and Lease.objects.get_or_create(name=name)[1]:  # nobody ever had it
        ours = free.update(**taken) == 1
    try:
        yield ours
    finally:
        if ours:
            Lease.objects.filter(name=name, holder=holder).update(holder="", until=None)


def note(name: str, until: datetime) -> None:
    """Something named so is under way, until then at the latest.

    Whoever noted it before is dead, or out of time.
    """
    token = holders.token()
    first = {"holder": f"{token}{TIMES}1", "until": until}
    lease, is_first = Lease.objects.get_or_create(name=name, defaults=first)
    if not is_first:
        times = int(lease.holder.rpartition(TIMES)[2]) + 1
        Lease.objects.filter(name=name).update(holder=f"{token}{TIMES}{times}", until=until)


def prolong(name: str, until: datetime) -> None:
    """What we noted so goes on, unless somebody took it for over."""
    Lease.objects.filter(name=name).update(until=until)


def take(name: str, until: datetime) -> bool:
    """Whether nobody has taken it before; it is not free again before it is forgotten."""
    _, is_first = Lease.objects.get_or_create(name=name, defaults={"until": until})
    return is_first


def drop(name: str) -> None:
    """It is over."""
    Lease.objects.filter(name=name).delete()


def taken(now: datetime, *names: str) -> set[str]:
    """Those among them that somebody has, and that have not lapsed."""
    rows = Lease.objects.filter(name__in=names, until__gt=now)
    return set(rows.values_list("name", flat=True))


def forget(kind: str, now: datetime) -> None:
    """Those whose names begin so and that have lapsed."""
    forgetting.forget(Lease.objects.filter(name__startswith=kind, until__lte=now))


def release(holder: str) -> list[str]:
    """Free what this holder, who is dead, had leased; the names of it.

    What is noted for the third time lapses instead: it may be what ends its holders.
    """
    freed = []
    for lease in Lease.objects.filter(holder__startswith=holders.prefix(holder)):
        _, mark, times = lease.holder.partition(TIMES)
        if times != ATTEMPTS:
            Lease.objects.filter(name=lease.name, holder=lease.holder).update(
                holder=mark + times, until=None
            )
            freed.append(lease.name)
    return freed


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
