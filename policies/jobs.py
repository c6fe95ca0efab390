"""Many fetches as one piece of work: begun with one statement, counted, stopped."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from policies import leases
from policies.models import Job, PolicyRecord
from policies.querysets import PolicyRecordQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

SILENCE, SIGN = timedelta(seconds=90), 20.0
"""A round that gave no sign of life for so long has broken, and seconds between two signs."""

LEASE = "refresh"
"""What the periodic refresh holds while it works: one round at a time."""

PAUSE = timedelta(hours=1)

ROUND = "round "
"""Begins the name of the lease of a round, before its job's number."""

KEPT = 200
"""Jobs of the past that are kept to be shown."""


def begin_refetch(chosen: PolicyRecordQuerySet, description: str, user: User | None) -> Job:
    """Have the refresh's loop refetch these rows; those that a job has already are left to it."""
    with transaction.atomic():
        job = Job.objects.create(
            kind=Job.Kind.REFETCH, description=description[:255], requested_by=user
        )
        marked = PolicyRecord.objects.filter(pk__in=chosen.order_by().values("pk"), job=None)
        job.total = marked.update(job=job.pk)
        if not job.total:
            job.state, job.finished_at = Job.State.DONE, timezone.now()
        job.save()
    log.info("refetch of many begun", extra={"job": job.pk, "policies": job.total})
    return job


def requesters(numbers: set[int]) -> dict[int, int | None]:
    """The users who asked for these jobs, by the job's number; None for nobody who is known."""
    if not numbers:
        return {}
    return dict(Job.objects.filter(pk__in=numbers).values_list("pk", "requested_by"))


def stop(job: Job) -> bool:
    """Take on no more of a job; whether it was running. What is under way ends by itself.

    The periodic refresh pauses for an hour: its next round would take up the same work.
    """
    now = timezone.now()
    with transaction.atomic():
        running = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING)
        was_running = running.update(state=Job.State.STOPPED, finished_at=now)
        PolicyRecord.objects.filter(job=job.pk).update(job=None)
        if was_running and job.kind == Job.Kind.REFRESH:
            leases.pause(LEASE, now + PAUSE)
    return bool(was_running)


COMMITTED = timedelta(seconds=30)
"""How long it may take to mark the rows of a job, which nobody sees before all are marked."""


def is_begun_since(moment: datetime) -> bool:
    """Whether somebody asked for a bulk refetch after this, or shortly before it."""
    running = Job.objects.filter(kind=Job.Kind.REFETCH, state=Job.State.RUNNING)
    return running.filter(started_at__gt=moment - COMMITTED).exists()


def are_waiting(now: datetime) -> bool:
    """Whether rows that somebody wants refetched wait for their turn."""
    return PolicyRecord.objects.asked_for(now).exists()


def tidy() -> None:
    """End the jobs that have nothing left to do or lost their worker, and forget the oldest."""
    now = timezone.now()
    leases.forget(ROUND, now)
    under_way = list(Job.objects.filter(state=Job.State.RUNNING))
    alive = leases.taken(now, *(f"{ROUND}{job.pk}" for job in under_way))
    for job in under_way:
        running = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING)
        if job.kind == Job.Kind.REFRESH and f"{ROUND}{job.pk}" not in alive:
            running.update(state=Job.State.STOPPED, finished_at=now)
        elif job.kind == Job.Kind.REFETCH and not PolicyRecord.objects.filter(job=job.pk).exists():
            running.update(state=Job.State.DONE, finished_at=now)
    old = list(Job.objects.exclude(state=Job.State.RUNNING).values_list("pk", flat=True)[KEPT:])
    if old:
        Job.objects.filter(pk__in=old).delete()


def end_rounds(freed: Iterable[str]) -> int:
    """End the rounds among these leases, whose holder is dead; how many there were."""
    numbers = [int(name.removeprefix(ROUND)) for name in freed if name.startswith(ROUND)]
    for number in numbers:
        leases.drop(f"{ROUND}{number}")
    return Job.objects.filter(pk__in=numbers, state=Job.State.RUNNING).update(
        state=Job.State.STOPPED, finished_at=timezone.now()
    )


class Progress:
    """What ended since the last write, by job, and written with the rows.

    A round of the periodic refresh is a job of its own, begun with its first row.
    """

    def __init__(self) -> None:
        self._round: int | None = None
        self._signed = 0.0
        self._done: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()

    def begin_round(self, total: Callable[[], int]) -> None:
        """A round of the refresh has work to do; `total`: counts how much, where it begins."""
        if self._round is None:
            with transaction.atomic():
                job = Job.objects.create(kind=Job.Kind.REFRESH, total=total())
                leases.note(f"{ROUND}{job.pk}", job.started_at + SILENCE)
            self._round, self._signed = job.pk, time.monotonic()

    def live(self) -> None:
        """To be called each second or oftener: the round is under way, whatever it waits for."""
        if self._round is not None and time.monotonic() - self._signed > SIGN:
            leases.prolong(f"{ROUND}{self._round}", timezone.now() + SILENCE)
            self._signed = time.monotonic()

    def ended(self, job: int | None, number: int, *, failed: bool) -> None:
        """So many fetches of this job have ended; None: of the round's own."""
        job = job or self._round
        if job is not None and number:
            self._done[job] += number
            self._failed[job] += number * failed

    def write(self) -> None:
        """Add what was counted to the jobs, and end those that are complete."""
        for job in sorted(self._done):
            Job.objects.filter(pk=job).update(
                done=F("done") + self._done[job], failed=F("failed") + self._failed[job]
            )
            complete = Job.objects.filter(
                pk=job, kind=Job.Kind.REFETCH, state=Job.State.RUNNING, done__gte=F("total")
            )
            complete.update(state=Job.State.DONE, finished_at=timezone.now())
        self.forget()

    def forget(self) -> None:
        """What was counted since the last write did not come about."""
        self._done.clear()
        self._failed.clear()

    @property
    def is_stopped(self) -> bool:
        """Whether somebody stopped this round."""
        if self._round is None:
            return False
        return Job.objects.filter(pk=self._round, state=Job.State.STOPPED).exists()

    def end_round(self) -> None:
        """The round is over; what was not worked is left to the next."""
        if self._round is None:
            return
        Job.objects.filter(pk=self._round, state=Job.State.RUNNING).update(
            state=Job.State.DONE, finished_at=timezone.now(), total=F("done")
        )
        leases.drop(f"{ROUND}{self._round}")
