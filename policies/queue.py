"""The task queue: the only module that knows django-q2.

Tasks are named by their dotted paths and get ids and strings, nothing else. The queue is in the
database, so a row and the task that works on it are made in one transaction.
"""

from __future__ import annotations

import gc
import math
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from queue import Full
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django_q import cluster
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
from django_q.tasks import async_task

from mtastsweb import requestid
from policies import fetches, holders, leases, metrics
from policies.models import Lease

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

REFETCH = "policies.tasks.refetch"
TICK = "policies.tasks.tick"
BEAT = "policies.tasks.beat"

BEAT_EVERY = 55.0
"""Seconds; the guard asks each half minute."""

AHEAD = timedelta(minutes=2)
"""A tick that is planned for later than this was planned by a clock that was put back since."""

SLACK = timedelta(seconds=30)

TAKEN = "task "
"""Begins the name of the lease of a task that was taken, before its number in the queue."""


def put_refetch(fetch_id: int) -> None:
    """Have a worker make this fetch, for the request that runs now."""
    async_task(REFETCH, fetch_id, requestid.current(), task_name=f"refetch {fetch_id}", save=False)


def put_tick() -> None:
    """Have a worker tick now, and not only when the schedule says so."""
    async_task(TICK, task_name="tick now", save=False)


def task_timeout() -> float:
    """Seconds after which a running task is killed."""
    return float(Conf.TIMEOUT)


def oldest_waiting(now: datetime | None = None) -> timedelta | None:
    """How long the oldest task has been waiting for a worker; None where none waits."""
    now = now or timezone.now()
    oldest = OrmQ.objects.filter(lock__lte=now).order_by("lock").first()
    return now - oldest.lock if oldest else None


@dataclass(frozen=True, slots=True)
class Depth:
    """How many tasks wait for a worker, and how many a worker has taken."""

    waiting: int
    taken: int


def depth(now: datetime) -> Depth:
    """How much is in the queue."""
    waits = Count("pk", filter=Q(lock__lte=now))
    counted = OrmQ.objects.aggregate(waiting=waits, all=Count("pk"))
    return Depth(counted["waiting"], counted["all"] - counted["waiting"])


def next_run(task: str) -> datetime | None:
    """When a scheduled task is put into the queue next; None where it has no schedule."""
    planned: datetime | None = (
        Schedule.objects.filter(func=task).values_list("next_run", flat=True).first()
    )
    return planned


class Broker(ORM):  # type: ignore[misc]  # django-q2 ships no types
    """django-q2's queue in the database, where a task that is taken is a lease of who took it."""

    _clock: float | None = None  # how far the wall's clock was ahead of the monotonic one

    def dequeue(self) -> list[tuple[int, str]]:
        """Up to `bulk` tasks, as numbers and payloads, ours until `retry`; waits where none is."""
        clock = time.time() - time.monotonic()
        if self._clock is None or clock < self._clock - 1.0:  # it may have been put back
            plan_anew(timezone.now())
        self._clock = clock
        waiting = self.get_connection().filter(key=self.list_key, lock__lte=timezone.now())
        taken = [
            (task.pk, task.payload)
            for task in waiting.order_by("pk")[: Conf.BULK]
            if self._take(task)
        ]
        if not taken:
            time.sleep(Conf.POLL)
        return taken

    def _take(self, task: OrmQ) -> bool:
        """Whether it is ours, and no other cluster was faster."""
        until = self.timeout(task)
        with transaction.atomic():
            same = OrmQ.objects.filter(pk=task.pk, lock=task.lock)
            if not same.update(lock=until):
                return False
            leases.note(f"{TAKEN}{task.pk}", until)
        return True

    def delete(self, task_id: int) -> None:
        """It is done."""
        super().delete(task_id)
        leases.drop(f"{TAKEN}{task_id}")


def plan_anew(now: datetime) -> None:
    """Have the tick and whatever waits not wait until a clock that was put back has caught up."""
    Schedule.objects.filter(func=TICK, next_run__gt=now + AHEAD).update(next_run=now)
    latest = now + timedelta(seconds=Conf.RETRY)
    taken = set(Lease.objects.filter(name__startswith=TAKEN).values_list("name", flat=True))
    for task in OrmQ.objects.filter(lock__gt=now):
        lock = min(task.lock, latest) if f"{TAKEN}{task.pk}" in taken else now
        # Whoever takes it meanwhile has it.
        OrmQ.objects.filter(pk=task.pk, lock=task.lock).update(lock=lock)


def give_back(freed: Iterable[str]) -> int:
    """Put the tasks among these leases, whose holder is dead, back to be taken; how many.

    Ticks are dropped: whoever takes over puts one, and more would find nothing to do.
    """
    numbers = [int(name.removeprefix(TAKEN)) for name in freed if name.startswith(TAKEN)]
    given_back = []
    for row in OrmQ.objects.filter(pk__in=numbers):
        if row.task.get("func") == TICK:
            leases.drop(f"{TAKEN}{row.pk}")
            row.delete()
            continue
        if row.task.get("func") == REFETCH:
            fetches.requeue(row.task["args"][0])
        given_back.append(row.pk)
    return int(OrmQ.objects.filter(pk__in=given_back).update(lock=timezone.now()))


def tidy(now: datetime) -> None:
    """Drop taken tasks that are done where that could not be written, as on a full disk: they would
    be given out again after a quarter of an hour; and leases of tasks that are gone.
    """
    names = Lease.objects.filter(name__startswith=TAKEN).values_list("name", flat=True)
    taken = {int(name.removeprefix(TAKEN)) for name in names}
    if not taken:
        return
    # Whoever took a task so long ago was killed over it, if it did not end.
    over = now + timedelta(seconds=Conf.RETRY - task_timeout()) - SLACK
    for task in OrmQ.objects.filter(pk__in=taken):
        if now < task.lock < over and _is_done(task.task):
            task.delete()
        else:
            taken.remove(task.pk)
    for number in taken:
        leases.drop(f"{TAKEN}{number}")


def _is_done(task: dict[str, Any]) -> bool:
    """Whether there is nothing left to do: another tick comes, or the refetch has ended."""
    func = task.get("func")
    return func == TICK or (func == REFETCH and not fetches.is_open(task["args"][0]))


class Patient:
    """An event whose `wait` ends in time whatever happens to the wall's clock.

    That of multiprocessing waits until a time of the wall's clock: put back by an hour, it would
    hold the guard for an hour, and nothing be scheduled or replaced in it.
    """

    def __init__(self, event: Event) -> None:
        self.is_set = event.is_set

    def wait(self, seconds: float) -> bool:
        """Whether it is set by the end of so long."""
        if not self.is_set():
            time.sleep(seconds)
        return self.is_set()


class Sentinel(cluster.Sentinel):  # type: ignore[misc]  # django-q2 ships no types
    """django-q2's, which survives a `kill -9` of any of the processes that it guards.

    Whoever waits at a queue of multiprocessing holds its lock, and takes it to the grave: a new
    process in its place would wait for ever, and no task be worked, or none acknowledged. So all
    of them begin anew with new queues. `take_over` has what they were at taken up again.
    """

    take_over: ClassVar[Callable[[], None]]
    stop_event: Any

    _beaten = -math.inf

    def guard(self) -> None:
        """Until it is to stop: look after the processes, and put what is scheduled."""
        self.stop_event = Patient(self.stop_event)
        cluster.scheduler = self._schedule
        self._have_beaten()
        super().guard()

    def _schedule(self, broker: ORM) -> None:
        self._have_beaten()
        scheduler(broker=broker)

    def _have_beaten(self) -> None:
        """Have one of this pool's own processes give a sign of life.

        Not by a task in the database: there another machine may take each of them.
        """
        if time.monotonic() - self._beaten < BEAT_EVERY:
            return
        self._beaten = time.monotonic()
        beat = {
            "id": uuid.uuid4().hex, "name": "beat", "func": BEAT, "args": (), "kwargs": {},
            "started": timezone.now(), "save": False,
        }  # fmt: skip
        with suppress(Full):  # they have work, and beat when they begin it
            self.task_queue.put_nowait(beat)

    def reincarnate(self, process: BaseProcess) -> None:
        """Replace what has ended: by itself alone where it was asked to, else with all others."""
        guarded = [*self.pool, self.monitor, self.pusher]
        if process not in guarded:
            return  # the guard's loop still looks at those that were replaced
        if process.exitcode is None or process.exitcode >= 0:
            super().reincarnate(process)
            return
        cluster.logger.critical("%s was killed: all begin anew", process.name)
        for each in guarded:
            each.kill()
            each.join()
        self.task_queue = cluster.Queue(maxsize=Conf.QUEUE_LIMIT)
        self.result_queue = cluster.Queue()
        holders.renew()
        type(self).take_over()
        self.spawn_cluster()
        self.reincarnations += 1


def run_cluster(take_over: Callable[[], None]) -> None:
    """Work what is in the queue until SIGTERM or SIGINT, in processes of this one.

    `take_over`: called where all of them were killed, before others are begun in their place.
    """
    Sentinel.take_over = staticmethod(take_over)
    metrics.share("worker", settings.MTASTS.data_dir)
    cluster.Sentinel = Sentinel
    gc.freeze()  # else looking for garbage copies what the forked processes have in common
    cluster.Cluster().start()
