"""Which rows the refresh takes on: claimed in the database, by one process at a time."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import F, Q

from policies import history, holders
from policies.decide import BACKOFF
from policies.models import PolicyRecord
from policies.querysets import BACKOFF_KEPT, PolicyRecordQuerySet, is_unused

log = logging.getLogger(__name__)

BACKLOG = timedelta(minutes=10)
"""Overdue by so much: more is due than the rate allows, and what ends soonest goes first."""

ENDING = timedelta(minutes=30)
"""What ends within so long goes before all else: a policy of an hour has half of its life left
when it is due, and a bulk refetch of many may take longer than that."""

CROWDED = timedelta(minutes=1)
"""How long a row waits whose address has too many others waiting."""

BATCH = 500


def claim(number: int, now: datetime, span: timedelta) -> list[PolicyRecord]:
    """Up to so many rows, ours until their claim lapses after `span`.

    What ends soon goes first, then what an operator asked for. In a backlog the policies that end
    soonest follow, then those that have ended; else what is due longest.
    """
    due = _due_longest(now)
    if due is None and not _is_unplanned_work(now):
        return []
    token = holders.token() + holders.REFRESH
    with transaction.atomic():
        chosen: list[int] = []
        for order in _orders(now, due):
            if len(chosen) < number:
                chosen += _take(order.exclude(pk__in=chosen), number - len(chosen))
        PolicyRecord.objects.filter(pk__in=chosen).update(claim=token, claimed_until=now + span)
        # By their numbers: in search of the claim SQLite would read the whole table.
        rows = PolicyRecord.objects.in_bulk(chosen)
    return [rows[pk] for pk in chosen]


def is_any(now: datetime) -> bool:
    """Whether there is a row to claim."""
    return _due_longest(now) is not None or _is_unplanned_work(now)


def _due_longest(now: datetime) -> datetime | None:
    """Since when the refresh should have fetched what it should have fetched first.

    In the order of its index: PostgreSQL, which takes some to be due whenever its statistics are
    an hour old, would read the whole table in search of any.
    """
    due = PolicyRecord.objects.due(now).order_by("refresh_due")
    return due.values_list("refresh_due", flat=True).first()


def _is_unplanned_work(now: datetime) -> bool:
    """Whether something waits that is not due by a plan."""
    rows = PolicyRecord.objects
    return rows.asked_for(now).exists() or rows.unplanned(now).exists()


def _orders(now: datetime, due_longest: datetime | None) -> list[PolicyRecordQuerySet]:
    due = PolicyRecord.objects.due(now)
    orders = [
        PolicyRecord.objects.ending(now, ENDING).order_by("valid_end"),
        PolicyRecord.objects.asked_for(now).order_by("job"),
    ]
    if due_longest is not None and due_longest < now - BACKLOG:
        orders += [
            due.filter(valid_end__gt=now).order_by("valid_end"),
            due.filter(valid_end__lte=now).order_by("-valid_end"),
        ]
    else:
        orders += [due.filter(refresh_due__isnull=False).order_by("refresh_due")]
    # Rows without a plan were written by others. By their end no index has them.
    return [*orders, PolicyRecord.objects.unplanned(now).order_by("pk")]


def backlog(now: datetime) -> int:
    """How many rows the refresh has to work now."""
    return PolicyRecord.objects.due(now).count() + PolicyRecord.objects.unplanned(now).count()


def _take(rows: PolicyRecordQuerySet, number: int) -> list[int]:
    return list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:number])


def give_back(rows: Sequence[PolicyRecord]) -> None:
    """End the claims of rows that were not worked; they are due as before."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        PolicyRecord.objects.filter(
            pk__in=[row.pk for row in batch], claim__in={row.claim for row in batch}
        ).update(claim="", claimed_until=None)


def release(holder: str) -> int:
    """End the claims of a holder that is dead; how many there were. The rows are due as before."""
    claimed = PolicyRecord.objects.filter(
        ~Q(claim=""),
        claim__startswith=holders.prefix(holder),  # the first for the index's sake
    )
    return claimed.update(claim="", claimed_until=None)


def release_dead() -> None:
    """The same of all that are dead for certain; where the database is away, claims lapse."""
    names = holders.dead()
    try:
        for name in names:
            release(name)
    except DatabaseError:
        log.exception("claims of the dead not ended", extra={"holders": len(names)})
        return
    holders.forget(names)


def postpone(rows: Sequence[PolicyRecord], now: datetime) -> None:
    """End the claims of rows whose address is crowded; their turn comes a little later."""
    for row in rows:
        ahead = CROWDED * random.uniform(1, 3)  # noqa: S311 - no secret
        row.refresh_due = now + ahead
        if row.is_valid(now):
            row.refresh_due = min(row.refresh_due, max(now + CROWDED / 4, row.valid_end - BACKOFF))
    for start in range(0, len(rows), BATCH):
        with transaction.atomic():
            PolicyRecord.objects.write_claimed(rows[start : start + BATCH], ["refresh_due"])


def delete_outlived(now: datetime) -> int:
    """Delete what has outlived itself; what is unused is planned for its end, where it goes."""
    PolicyRecord.objects.filter(
        is_unused(now), refresh_due__lte=now, valid_end__gt=F("refresh_due")
    ).update(refresh_due=F("valid_end"))
    ended = Q(valid_end__lt=now) & is_unused(now)
    stale = Q(backoff=True, held_mode="", valid_end__lt=now - BACKOFF_KEPT)
    # One by one: with both in one condition no index serves, and the whole table is read.
    return _delete(PolicyRecord.objects.filter(ended), with_history=True) + _delete(
        PolicyRecord.objects.filter(stale)
    )


def _delete(rows: PolicyRecordQuerySet, *, with_history: bool = False) -> int:
    # In the model's order the whole table would be read in search of what comes first in it.
    by_end = rows.order_by("valid_end")
    deleted = 0
    while chosen := dict(by_end.values_list("pk", "domain")[:BATCH]):
        with transaction.atomic():
            deleted += rows.filter(pk__in=list(chosen)).delete()[0]
            if with_history:
                # Whoever was asked for in between keeps the row, and with it the history.
                kept = PolicyRecord.objects.filter(domain__in=chosen.values())
                gone = {*chosen.values()} - {*kept.values_list("domain", flat=True)}
                history.forget(sorted(gone))
    return deleted
