"""The periodic refresh: each policy in use is fetched anew well before it ends.

A round claims rows that are due in the database, works them (`policies.turns`) in threads that do
network only, and saves what came of them in batches (`policies.saving`), from the one thread that
began it. A host that is slow holds a thread of its own and nothing else; rows that find no place at
their policy host's address hold none (`policies.crew`). A bulk refetch marks its rows with a job,
and the same loop works them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

from django.conf import settings

from policies import claiming, jobs, leases, world
from policies.crew import Crew, GivenBack
from policies.politeness import Places
from policies.saving import Counts, save, save_late
from policies.turns import Turn, Worked, take

if TYPE_CHECKING:
    from datetime import datetime

    from policies.models import PolicyRecord
    from policies.world import World

log = logging.getLogger(__name__)

BATCH = 500
"""Rows written at a time: more would hold the database from others for too long."""

SAVE_EVERY = 0.5
"""Seconds that a result waits for company before it is saved."""

IDLE = 0.05
"""Seconds between looks at what the rate allows."""

CLAIMING = timedelta(seconds=50)
"""How long a tick takes on new work; the next one comes after a minute."""

DELETING, DELETE_EVERY = "deletes what has outlived itself", timedelta(minutes=10)
"""What is noted of a tick that deletes, and for how long the next ones do not: no index tells what
has ended and is unused from what has ended and is not."""

GRACE = 5.0
"""Seconds that a tick waits for what is under way; what takes longer is saved by its thread."""

SLACK = timedelta(seconds=30)

Stopping = Callable[[], bool]
"""Whether the process is asked to stop."""


def never() -> bool:
    """For those who are not asked to stop."""
    return False


def tick(
    span: timedelta = CLAIMING, *, outside: World | None = None, stopping: Stopping = never
) -> Counts | None:
    """A round that takes on no more after `span`.

    None where one is under way somewhere, or where an operator has it pause.
    """
    now = (outside or world.default()).now()
    taken = leases.taken(now, jobs.LEASE, DELETING)
    if jobs.LEASE in taken:
        return None
    if DELETING in taken and not claiming.is_any(now):
        return Counts()  # as most ticks of a small cache: nothing to hold a lease for
    with leases.held(jobs.LEASE, span + work_time(), now) as ours:
        if not ours:
            return None
        return run(
            outside=outside, claiming_for=span, stopping=stopping, deletes=_is_time_to_delete(now)
        )


def _is_time_to_delete(now: datetime) -> bool:
    """Now and then: what is in use and has ended is looked through for what is not."""
    leases.forget(DELETING, now)
    return leases.take(DELETING, now + DELETE_EVERY)


def run(
    *,
    outside: World | None = None,
    claiming_for: timedelta | None = None,
    stopping: Stopping = never,
    deletes: bool = True,
) -> Counts:
    """Refresh what is due and delete what has outlived itself, until nothing is left to do.

    `claiming_for`: take on no more after so long, and no more than `REFRESH_RATE` a second; None:
    go on until none is due. `stopping`: whether to leave off at once; what has not ended by then
    is taken up again when its claim lapses. `deletes`: whether to delete at all.
    """
    places = _places()
    if outside is None:
        outside = world.limited(places.slot) if places else world.default()
    counts = Counts(deleted=claiming.delete_outlived(outside.now()) if deletes else 0)
    _Round(outside, places, counts, claiming_for, stopping).run()
    if counts != Counts():
        log.info("refreshed", extra=vars(counts))
    return counts


def work_time() -> timedelta:
    """How long the work on one row may take, with room to spare."""
    return timedelta(seconds=settings.MTASTS.dns_timeout + settings.MTASTS.fetch_timeout) + SLACK


@cache
def _places_of(most: int) -> Places | None:
    """One for the process: what an earlier round left behind still holds its place."""
    return Places(most) if most else None


def _places() -> Places | None:
    return _places_of(settings.MTASTS.max_per_address)


class Allowance:
    """So many a second, and a second's worth to begin with."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._began = clock()
        self._used = 0

    @property
    def left(self) -> int:
        """How many may be taken now."""
        return int((self._clock() - self._began + 1) * self._rate) - self._used

    def use(self, number: int) -> None:
        """So many were taken."""
        self._used += number


class _Round:
    """One run of the loop: claim, work, save."""

    def __init__(
        self,
        outside: World,
        places: Places | None,
        counts: Counts,
        claiming_for: timedelta | None,
        stopping: Stopping,
    ) -> None:
        self._outside = outside
        self._counts = counts
        self._stopping = stopping
        self._is_bounded = claiming_for is not None
        self._began = time.monotonic()
        bound = math.inf if claiming_for is None else claiming_for.total_seconds()
        self._end = self._began + bound
        self._most = settings.MTASTS.refresh_threads
        self._crew: Crew[Turn, Worked] = Crew(
            partial(take, outside=outside, places=places), self._most, places=places, late=save_late
        )
        self._allowance = Allowance(settings.MTASTS.refresh_rate)
        self._done: list[Worked] = []
        self._saved = self._began
        self._jobs = jobs.Progress()

    def run(self) -> None:
        is_more = True
        while (is_more or self._crew.busy or self._done) and not self._stopping():
            self._jobs.live()
            is_more = is_more and time.monotonic() < self._end
            if not is_more and self._is_bounded and time.monotonic() > self._end + GRACE:
                break
            if is_more and (number := self._room()):
                is_more = self._claim(number) or self._crew.busy > 0
            elif is_more and not self._crew.busy:
                time.sleep(IDLE)  # the rate allows none yet
            self._collect(self._crew.results(SAVE_EVERY))
            if self._done and self._is_time_to_save():
                self._save()
        ended, over = self._crew.leave()
        self._collect(ended)
        while self._done:
            self._save()
        claiming.give_back([turn.row for turn in over])
        self._counts.due -= len(over)
        self._jobs.end_round()

    def _room(self) -> int:
        """How many rows to claim now; 0: not worth a write, or too many wait already."""
        free = min(self._crew.free, BATCH)
        if self._crew.busy and free < max(1, self._most // 4):
            return 0
        if self._crew.parked > 10 * self._most:
            return 0
        return min(free, self._allowance.left) if self._is_bounded else free

    def _claim(self, number: int) -> bool:
        claimed = claiming.claim(number, self._outside.now(), work_time())
        self._allowance.use(len(claimed))
        self._counts.due += len(claimed)
        if any(row.job is None for row in claimed):
            self._jobs.begin_round(lambda: len(claimed) + claiming.backlog(self._outside.now()))
        self._crew.take([Turn(row) for row in claimed])
        return bool(claimed)

    def _collect(self, ended: Iterable[Worked | GivenBack[Turn]]) -> None:
        crowded: list[PolicyRecord] = []
        for each in ended:
            if isinstance(each, GivenBack):
                crowded.append(each.turn.row)
            else:
                self._done.append(each)
        if crowded:
            claiming.postpone(crowded, self._outside.now())
            self._counts.due -= len(crowded)

    def _is_time_to_save(self) -> bool:
        waited = time.monotonic() - self._saved
        return not self._crew.busy or len(self._done) >= BATCH or waited > SAVE_EVERY

    def _save(self) -> None:
        batch, self._done = self._done[:BATCH], self._done[BATCH:]
        save(batch, self._counts, self._jobs)
        self._saved = time.monotonic()
        if self._jobs.is_stopped:
            self._end = self._saved
