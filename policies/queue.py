"""The task queue: the only module that knows django-q2.

Tasks are named by their dotted paths and get ids and strings, nothing else. The queue is in the
database, so a row and the task that works on it are made in one transaction.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess

from django.db.models import Count, Q
from django.utils import timezone
from django_q import cluster
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

REFETCH = "policies.tasks.refetch"
TICK = "policies.tasks.tick"


def put_refetch(fetch_id: int) -> None:
    """Have a worker make this fetch."""
    async_task(REFETCH, fetch_id, task_name=f"refetch {fetch_id}", save=False)


def put_tick() -> None:
    """Have a worker tick now, and not only when the schedule says so."""
    async_task(TICK, task_name="first tick", save=False)


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


class Sentinel(cluster.Sentinel):  # type: ignore[misc]  # django-q2 ships no types
    """django-q2's, which survives a `kill -9` of any of the processes that it guards.

    Whoever waits at a queue of multiprocessing holds its lock, and takes it to the grave: a new
    process in its place would wait for ever, and no task be worked, or none acknowledged. So all
    of them begin anew with new queues. What they were at is delivered again, or given up, in time.
    """

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
        self.spawn_cluster()
        self.reincarnations += 1


def run_cluster() -> None:
    """Work what is in the queue until SIGTERM or SIGINT, in processes of this one."""
    cluster.Sentinel = Sentinel
    gc.freeze()  # else looking for garbage copies what the forked processes have in common
    cluster.Cluster().start()
