"""What the queue's workers run, and how operators ask for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mtastsweb import requestid
from policies import (
    alerts,
    cache,
    changes,
    exceptions,
    fetches,
    heartbeats,
    history,
    jobs,
    leases,
    metrics,
    mxcheck,
    outcomes,
    probing,
    questions,
    queue,
    refresh,
    stopping,
    succession,
    summary,
    trouble,
)
from policies.alerts import delivery, digest
from policies.models import Fetch, Job
from policies.mtasts import Domain, parse_domain
from policies.querysets import PolicyRecordQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

QUEUED_LIMIT = timedelta(hours=1)
"""A fetch that no worker has begun in so long has lost its task."""


TICKING = "tick"
"""The lease of the tick: one at a time, for of two workers one has to stay free for operators."""

MINUTE = 55.0
"""Seconds that a tick shares out among its parts; the schedule brings one each minute."""

LEAST_REFRESH = timedelta(seconds=20)
"""What the refresh has of it, however long all before it took."""

MX_CHECK, LEAST_MX_CHECK = 25.0, 5.0
"""Seconds that a tick takes on MX checks; of a tick whose refresh was long only what is left."""

PROBE, LEAST_PROBE = 15.0, 2.0
"""The same of probes of mail hosts."""

SEND, LEAST_SEND = delivery.FOR, 5.0
"""The same of what is to be sent: last, for others' servers may be slow, and policies must not
wait for them."""


def request_refetch(name: Domain, user: User | None) -> tuple[Fetch, bool]:
    """The fetch of this domain that waits or runs, and whether it was asked for just now."""
    with transaction.atomic():
        fetch, created = fetches.request(name, user)
        if created:
            queue.put_refetch(fetch.pk)
    return fetch, created


def refetch(fetch_id: int, request_id: str = "") -> None:
    """Task: make the fetch that an operator asked for. Its row tells how it ended.

    `request_id`: of the page's request, for the log.
    """
    with requestid.bound(request_id or requestid.new()), metrics.task("refetch"):
        _refetch(fetch_id)


def _refetch(fetch_id: int) -> None:
    heartbeats.beat("worker")
    fetch = fetches.begin(fetch_id)
    if fetch is None:
        return  # delivered a second time, and the first was not in vain
    try:
        consulted = cache.refetch(fetch.domain)
    except BaseException as error:  # the queue's timeout is a SystemExit
        log.exception("refetch broke", extra={"domain": parse_domain(fetch.domain).ascii})
        fetches.abandon(fetch, f"The fetch did not end: {type(error).__name__}. Try again.")
        raise
    fetches.finish(fetch, consulted)
    mxcheck.renew(parse_domain(fetch.domain))


def request_refetch_of_many(
    chosen: PolicyRecordQuerySet, description: str, user: User | None
) -> Job:
    """A job that refetches these rows, and a tick to begin with it at once."""
    with transaction.atomic():
        job = jobs.begin_refetch(chosen, description, user)
        if job.total:
            queue.put_tick()
    return job


def beat() -> None:
    """Task, each minute, of each machine's own: its worker works."""
    heartbeats.beat("worker")


def tick() -> None:
    """Task, each minute: what has to be done from time to time."""
    with requestid.bound(requestid.new()), metrics.task("tick"):
        _tick()


def _tick() -> None:
    heartbeats.beat("worker")
    began = time.monotonic()
    # What the dead held comes first: the lease of the tick may be among it.
    _each(succession.settle, lambda: _tick_alone(began))


def _tick_alone(began: float) -> None:
    """The tick, unless one is under way somewhere: that one sees to what is wanted."""
    now = timezone.now()
    with leases.held(TICKING, timedelta(seconds=queue.task_timeout()), now) as ours:
        if not ours:
            return
        is_refreshed = _work(now, began)
    if not is_refreshed or _is_stopping():
        return
    # Ticks that came meanwhile found this one at work, and nothing to do.
    if time.monotonic() - began >= MINUTE or jobs.are_waiting(timezone.now()):
        queue.put_tick()


def _work(now: datetime, began: float) -> bool:
    """All parts of a tick, in order; whether the refresh among them had its round."""
    longest = timedelta(seconds=queue.task_timeout())
    is_refreshed, refreshed_at = False, now

    def left(least: float, most: float) -> timedelta:
        return timedelta(seconds=max(least, min(most, MINUTE - (time.monotonic() - began))))

    def refreshes() -> None:
        nonlocal is_refreshed, refreshed_at
        taken = timedelta(seconds=time.monotonic() - began)
        span = max(LEAST_REFRESH, refresh.CLAIMING - taken)
        is_refreshed = refresh.tick(span, stopping=_is_stopping) is not None
        refreshed_at = timezone.now()

    def gives_way() -> bool:
        return _is_stopping() or jobs.is_begun_since(refreshed_at)

    _each(
        lambda: queue.tidy(now),
        lambda: fetches.give_up(queued_before=now - QUEUED_LIMIT, started_before=now - 2 * longest),
        lambda: fetches.prune(now),
        lambda: changes.prune(now),
        lambda: exceptions.close_lapsed(now),
        lambda: exceptions.prune(now),
        jobs.tidy,
        lambda: questions.forget(now),
        lambda: heartbeats.forget(now),
        lambda: outcomes.prune(now),
        lambda: summary.recount(now),
        lambda: history.tidy(now),
        lambda: alerts.tidy(now),
        lambda: digest.make(now, trouble.lines),
        lambda: delivery.prune(now),
        refreshes,
        lambda: mxcheck.tick(left(LEAST_MX_CHECK, MX_CHECK), stopping=gives_way),
        lambda: probing.tick(left(LEAST_PROBE, PROBE), stopping=gives_way),
        lambda: delivery.send_due(timezone.now(), left(LEAST_SEND, SEND).total_seconds()),
    )
    return is_refreshed


def _is_stopping() -> bool:
    return stopping.is_announced(settings.MTASTS.data_dir / "run")


def _each(*steps: Callable[[], object]) -> None:
    """All of them, whichever break: no digest may keep policies from being fetched.

    Raises then what the first of those broke by, so that the task counts as one that did.
    """
    first: Exception | None = None
    for step in steps:
        try:
            step()
        except Exception as error:
            log.exception("a part of the tick broke")
            first = first or error
    if first is not None:
        raise first
