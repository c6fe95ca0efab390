"""The periodic refresh: each policy in use is fetched anew well before it ends.

A round claims rows that are due in the database, works them in threads that do network only, and
saves what came of them in batches, from the one thread that began it. A host that is slow holds a
thread of its own and nothing else; rows that find no place at their policy host's address hold
none (`policies.crew`). A bulk refetch marks its rows with a job, and the same loop works them.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction

from mtastsweb import requestid
from policies import (
    alerts,
    claiming,
    fetches,
    history,
    jobs,
    leases,
    metrics,
    mxcheck,
    outcomes,
    rows,
    world,
)
from policies.alerts import judge, sighting
from policies.crew import Crew, GivenBack, NoPlace
from policies.decide import BACKOFF, NEEDS_FETCH, Answer, NeedsFetch, Store, decide, decide_refresh
from policies.inserting import insert
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import FetchError, first_error
from policies.politeness import REASON, Places

if TYPE_CHECKING:
    from policies.decide import Fetched, Look
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

LATE = timedelta(hours=1)
"""Overdue by so much: the round is catching up, and plans the next time loosely."""

COLUMNS = (*rows.STORED, *rows.OUTCOME)

Stopping = Callable[[], bool]
"""Whether the process is asked to stop."""


def never() -> bool:
    """For those who are not asked to stop."""
    return False


@dataclass
class Counts:
    """What a round did. `due` is the sum of those after it."""

    deleted: int = 0
    due: int = 0
    refreshed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


@dataclass(slots=True)
class Turn:
    """A claimed row that waits for its turn. `look`: what DNS said, once it was asked."""

    row: PolicyRecord
    look: Look | None = None
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """A row after its turn, not saved. Without an answer something of ours broke."""

    row: PolicyRecord
    job: int | None = None
    answer: Answer | None = None
    fetch: Fetch | None = None
    seen: outcomes.Seen | None = None
    version: history.Found | None = None
    sighting: alerts.Sighting | None = None

    @property
    def is_removed(self) -> bool:
        return self.answer is not None and self.answer.store is Store.DELETE

    @property
    def is_stored(self) -> bool:
        return self.answer is not None and self.answer.store in {Store.POLICY, Store.EDIT}


def tick(
    span: timedelta = CLAIMING, *, outside: World | None = None, stopping: Stopping = never
) -> Counts | None:
    """A round that takes on no more after `span`.

    None where one is under way somewhere, or where an operator has it pause.
    """
    now = (outside or world.default()).now()
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
            lambda turn: _worked(turn, outside, places), self._most, places=places, late=_save_late
        )
        self._allowance = Allowance(settings.MTASTS.refresh_rate)
        self._done: list[Worked] = []
        self._saved = self._began
        self._jobs = jobs.Progress()

    def run(self) -> None:
        is_more = True
        while (is_more or self._crew.busy or self._done) and not self._stopping():
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
        _save(batch, self._counts, self._jobs)
        self._saved = time.monotonic()
        if self._jobs.is_stopped:
            self._end = self._saved


def _save(batch: list[Worked], counts: Counts, progress: jobs.Progress) -> None:
    """Write what came of some rows, but for those that someone else changed meanwhile."""
    try:
        _write(batch, progress)
    except (DataError, IntegrityError):
        progress.forget()
        if len(batch) == 1:
            _put_off(batch[0], counts, progress)
            return
        # One that the database refuses must not take the others with it, nor end the round.
        for worked in batch:
            _save([worked], counts, progress)
        return
    for worked in batch:
        _count(worked, counts)


def _put_off(worked: Worked, counts: Counts, progress: jobs.Progress) -> None:
    """What came of this row cannot be written: no more is than that it is tried again later."""
    log.exception("refresh not saved", extra={"domain": worked.row.domain})
    broken = Worked(worked.row, worked.job)
    broken.row.refresh_due = world.default().now() + BACKOFF
    with transaction.atomic():
        _end_jobs([broken], progress)
        PolicyRecord.objects.write_claimed([broken.row], ["refresh_due"])
        progress.write()
    _count(broken, counts)


def _write(batch: list[Worked], progress: jobs.Progress) -> None:
    # In one order everywhere, or two who write many rows wait for each other.
    batch.sort(key=lambda worked: worked.row.domain)
    gone = [worked.row for worked in batch if worked.is_removed]
    kept = [worked.row for worked in batch if not worked.is_removed]
    with transaction.atomic():
        told = _still_ours([each for each in batch if each.version or each.sighting])
        _end_jobs(batch, progress)
        _name_requesters(batch)
        PolicyRecord.objects.write_claimed(kept, COLUMNS)
        history.save([worked.version for worked in told if worked.version is not None])
        # Other patterns, or an operator's wish: whether the mail hosts fit is to be asked anew.
        anew = [each.row.domain for each in told if each.version is not None]
        anew += [each.row.domain for each in batch if each.job]
        if anew:
            mxcheck.hasten(anew)
        PolicyRecord.objects.filter(
            pk__in={row.pk for row in gone}, claim__in={row.claim for row in gone}
        ).delete()
        if gone:
            left = PolicyRecord.objects.filter(pk__in=[row.pk for row in gone]).order_by()
            still = set(left.values_list("pk", flat=True))
            history.end([row for row in gone if row.pk not in still], world.default().now())
        insert([worked.fetch for worked in batch if worked.fetch is not None])
        alerts.note([worked.sighting for worked in told if worked.sighting is not None])
        outcomes.record(worked.seen for worked in batch if worked.seen is not None)
        progress.write()


def _still_ours(batch: list[Worked]) -> list[Worked]:
    """Those whose claim holds: of the others somebody else has told by now what is known."""
    if not batch:
        return []
    claimed = PolicyRecord.objects.filter(pk__in=[worked.row.pk for worked in batch])
    claims = dict(claimed.locked().values_list("pk", "claim"))
    return [worked for worked in batch if claims.get(worked.row.pk) == worked.row.claim]


def _end_jobs(batch: list[Worked], progress: jobs.Progress) -> None:
    """Take the marks of jobs off these rows, and count them.

    A mark that came while the row was worked for something else stays: the row has its turn yet.
    Where the claim is lost, somebody else works the row, and counts it.
    """
    groups: defaultdict[tuple[int | None, bool], list[PolicyRecord]] = defaultdict(list)
    for worked in batch:
        groups[worked.job, not (worked.is_stored or worked.is_removed)].append(worked.row)
    for (job, failed), ended in groups.items():
        number = len(ended)
        if job is not None:
            number = PolicyRecord.objects.filter(
                pk__in=[row.pk for row in ended], claim__in={row.claim for row in ended}, job=job
            ).update(job=None)
        progress.ended(job, number, failed=failed)


def _name_requesters(batch: list[Worked]) -> None:
    """The fetches of a job were asked for by whoever asked for the job."""
    users = jobs.requesters({worked.job for worked in batch if worked.job is not None})
    for worked in batch:
        if worked.job is not None and worked.fetch is not None:
            worked.fetch.requested_by_id = users.get(worked.job)


def _save_late(worked: Worked) -> None:
    """What a thread does whose round is over: it saves by itself, with a connection of its own."""
    try:
        _save([worked], Counts(), jobs.Progress())
    except DatabaseError:
        log.exception("late result not saved", extra={"domain": worked.row.domain})
    finally:
        connection.close()


def _count(worked: Worked, counts: Counts) -> None:
    outcome = _outcome(worked)
    setattr(counts, outcome, getattr(counts, outcome) + 1)
    metrics.refreshed(outcome)


def _outcome(worked: Worked) -> str:
    """The field of `Counts` that it adds to."""
    if worked.fetch is not None and worked.fetch.outcome == Fetch.Outcome.REMOVED:
        return "removed"
    if not worked.is_stored:
        return "failed"
    if worked.fetch is not None and worked.fetch.changed:
        return "refreshed"
    return "unchanged"


def _worked(turn: Turn, outside: World, places: Places | None) -> Worked:
    try:
        with requestid.for_job(turn.row.job):
            return work(turn, outside, places)
    except NoPlace:
        raise
    except Exception:
        # One row that breaks us must not end the round; it is tried again later.
        # By its name as stored: that it is no domain name may be what broke.
        log.exception("refresh broke", extra={"domain": turn.row.domain})
        _plan_retry(turn.row, outside.now())
        job, turn.row.job = turn.row.job, None
        return Worked(turn.row, job)


def work(turn: Turn, outside: World, places: Places | None = None) -> Worked:
    """Ask DNS and the policy host about a row, and make it say what came of it. No database.

    Raises NoPlace where the policy host's address has too many connections of ours.
    """
    row = turn.row
    name = row.name
    turn.started = turn.started or outside.now()
    turn.look = turn.look or outside.look(name).look
    fetched = None
    now = outside.now()
    answer = _decide(row, turn.look, None, now)
    if answer is NEEDS_FETCH:
        fetched = outside.fetch(name)
        if places and isinstance(fetched, FetchError) and fetched.reason == REASON:
            raise NoPlace(places.refused)
        now = outside.now()
        answer = _decide(row, turn.look, fetched, now)
    assert answer is not NEEDS_FETCH  # noqa: S101 - it has what it needs
    error = first_error(fetched, turn.look if fetched is None else None)
    changed = rows.is_change(row, answer, fetched)
    source = Fetch.Source.REFRESH if row.job is None else Fetch.Source.OPERATOR
    version = history.version(row, row.domain, answer, fetched, source, now)
    sighted = sighting.of(row, name, turn.look, fetched, source, now)
    _keep(row, answer, fetched, now)
    job, row.job = row.job, None
    fetch = fetches.ended(name, source, turn.started, now, answer, error, changed)
    seen = outcomes.Seen(
        answer.result,
        now,
        source=outcomes.Source.REFRESH if job is None else outcomes.Source.OPERATOR,
        resolver=answer.error is not None,
    )
    return Worked(row, job, answer, fetch, seen, version, sighted)


def _decide(
    row: PolicyRecord, look: Look, fetched: Fetched | None, now: datetime
) -> Answer | NeedsFetch:
    ascii_name = row.name.ascii
    if row.job is not None:
        return decide(ascii_name, rows.cached(row, now), look, fetched, now, force=True)
    held, valid = rows.snapshot(row), row.is_valid(now)
    return decide_refresh(ascii_name, held, look, fetched, now, valid=valid)


def _keep(row: PolicyRecord, answer: Answer, fetched: Fetched | None, now: datetime) -> None:
    overdue = row.refresh_due is None or now - row.refresh_due > LATE
    rows.keep(row, answer, fetched, now)
    if answer.error is None:
        rows.set_outcome(row, answer.result, now)
    if answer.store in {Store.HOLD, Store.USE, Store.NOTHING} and not row.backoff:
        _plan_retry(row, now)
    elif overdue and not row.backoff:
        # What comes late together, after an import or a week switched off, must not stay so.
        row.refresh_due = rows.refresh_due(row.max_age, now, loosely=True)


def _plan_retry(row: PolicyRecord, now: datetime) -> None:
    row.failures += 1
    row.refresh_due = rows.retry_due(row.failures, row.valid_end, now)
    if row.failing_since is not None:
        # Once more when it has failed for so long that it is to be told.
        told = judge.failing_from(row.failing_since, row.valid_end)
        if told > now:
            row.refresh_due = min(row.refresh_due, max(told, now + BACKOFF))
