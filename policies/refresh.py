"""The periodic refresh: each policy in use is fetched anew well before it ends.

A round claims rows that are due in the database, works them in threads that do network only, and
saves what came of them in batches, from the one thread that began it. A host that is slow holds a
thread of its own and nothing else.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F

from policies import fetches, leases, outcomes, rows, world
from policies.decide import NEEDS_FETCH, Answer, Store, decide_refresh
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import first_error
from policies.querysets import UNUSED

if TYPE_CHECKING:
    from policies.decide import Fetched
    from policies.world import World

log = logging.getLogger(__name__)

LEASE = "refresh"
BATCH = 500
"""Rows written at a time: more would hold the database from others for too long."""

SAVE_EVERY = 0.5
"""Seconds that a result waits for company before it is saved."""

CLAIMING = timedelta(seconds=50)
"""How long a tick takes on new work; the next one comes after a minute."""

SLACK = timedelta(seconds=30)

Stopping = Callable[[], bool]
"""Whether the process is asked to stop."""


def never() -> bool:
    """For those who are not asked to stop."""
    return False


COLUMNS = (*rows.STORED, *rows.OUTCOME)


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


@dataclass(frozen=True, slots=True)
class Worked:
    """A row after its turn, not saved. `lost`: something of ours broke, not the domain."""

    row: PolicyRecord
    answer: Answer | None
    fetch: Fetch | None
    seen: outcomes.Seen | None = None


def tick(*, outside: World | None = None, stopping: Stopping = never) -> Counts | None:
    """A round for `CLAIMING`, unless one is under way somewhere; then None."""
    outside = outside or world.default()
    with leases.held(LEASE, CLAIMING + _work_time(), outside.now()) as ours:
        if not ours:
            return None
        return run(outside=outside, claiming=CLAIMING, stopping=stopping)


def run(
    *,
    outside: World | None = None,
    claiming: timedelta | None = None,
    stopping: Stopping = never,
) -> Counts:
    """Refresh what is due and delete what has outlived itself, until nothing is left to do.

    `claiming`: take on no more after so long; None: go on until none is due. `stopping`: whether
    to leave off at once; what has not ended by then is taken up again when its claim lapses.
    """
    outside = outside or world.default()
    counts = Counts(deleted=_delete_outlived(outside.now()))
    with _Workers(outside, settings.MTASTS.refresh_threads) as workers:
        _work(workers, counts, outside, claiming, stopping)
    if counts != Counts():
        log.info("refreshed", extra=vars(counts))
    return counts


def _work(
    workers: _Workers,
    counts: Counts,
    outside: World,
    claiming: timedelta | None,
    stopping: Stopping,
) -> None:
    end = math.inf if claiming is None else time.monotonic() + claiming.total_seconds()
    done: list[Worked] = []
    saved = time.monotonic()
    more = True
    while (more or workers.busy or done) and not stopping():
        more = more and time.monotonic() < end
        if more and workers.can_take:
            claimed = _claim(min(workers.free, BATCH), outside.now())
            counts.due += len(claimed)
            more = bool(claimed) or workers.busy > 0
            workers.take(claimed)
        done += workers.results(SAVE_EVERY)
        idle = not workers.busy
        if done and (idle or len(done) >= BATCH or time.monotonic() - saved > SAVE_EVERY):
            _save(done[:BATCH], counts)
            del done[:BATCH]
            saved = time.monotonic()
    if done:
        _save(done[:BATCH], counts)


def _work_time() -> timedelta:
    """How long the work on one row may take, with room to spare."""
    return timedelta(seconds=settings.MTASTS.dns_timeout + settings.MTASTS.fetch_timeout) + SLACK


def _delete_outlived(now: datetime) -> int:
    """Delete what has outlived itself; plan what is unused for its end, where it goes, too."""
    PolicyRecord.objects.filter(
        refresh_due__lte=now, last_use__lt=now - UNUSED, valid_end__gt=F("refresh_due")
    ).update(refresh_due=F("valid_end"))
    deleted, _ = PolicyRecord.objects.outlived(now).delete()
    return deleted


def _claim(number: int, now: datetime) -> list[PolicyRecord]:
    """Up to so many due rows, which are ours until their claim lapses."""
    claim = uuid.uuid4().hex
    with transaction.atomic():
        due = PolicyRecord.objects.due(now).order_by("refresh_due")
        chosen = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:number])
        PolicyRecord.objects.filter(pk__in=chosen).update(
            claim=claim, claimed_until=now + _work_time()
        )
    return list(PolicyRecord.objects.filter(claim=claim)) if chosen else []


def _save(batch: list[Worked], counts: Counts) -> None:
    """Write what came of some rows, but for those that someone else changed meanwhile."""
    gone = [worked.row for worked in batch if _is_removed(worked)]
    kept = [worked.row for worked in batch if not _is_removed(worked)]
    with transaction.atomic():
        PolicyRecord.objects.write_claimed(kept, COLUMNS)
        PolicyRecord.objects.filter(
            pk__in={row.pk for row in gone}, claim__in={row.claim for row in gone}
        ).delete()
        Fetch.objects.bulk_create(
            [worked.fetch for worked in batch if worked.fetch is not None], batch_size=BATCH
        )
        outcomes.record(worked.seen for worked in batch if worked.seen is not None)
    for worked in batch:
        _count(worked, counts)


def _is_removed(worked: Worked) -> bool:
    return worked.answer is not None and worked.answer.store is Store.DELETE


def _count(worked: Worked, counts: Counts) -> None:
    match worked:
        case Worked(fetch=Fetch(outcome=Fetch.Outcome.REMOVED)):
            counts.removed += 1
        case Worked(answer=Answer(store=Store.POLICY | Store.EDIT), fetch=Fetch(changed=True)):
            counts.refreshed += 1
        case Worked(answer=Answer(store=Store.POLICY | Store.EDIT)):
            counts.unchanged += 1
        case _:
            counts.failed += 1


class _Workers:
    """Threads that do network, and what came of it.

    They are daemons: where the round is left off, a host that hangs does not keep the process.
    """

    def __init__(self, outside: World, threads: int) -> None:
        self._outside = outside
        self._most = threads
        self._threads = 0
        self._rows: queue.SimpleQueue[PolicyRecord | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Worked] = queue.SimpleQueue()
        self.busy = 0

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in range(self._threads):
            self._rows.put(None)

    @property
    def free(self) -> int:
        return self._most - self.busy

    @property
    def can_take(self) -> bool:
        """Whether it is worth a claim: one for each thread that ends would be a write for each."""
        return not self.busy or self.free >= max(1, self._most // 4)

    def take(self, claimed: list[PolicyRecord]) -> None:
        self.busy += len(claimed)
        while self._threads < min(self.busy, self._most):
            self._threads += 1
            threading.Thread(target=self._run, name="refresh", daemon=True).start()
        for row in claimed:
            self._rows.put(row)

    def results(self, wait: float) -> Iterator[Worked]:
        """What has ended, after waiting up to `wait` seconds for the first where some run."""
        while self.busy:
            try:
                worked = self._results.get(timeout=wait)
            except queue.Empty:
                return
            self.busy -= 1
            wait = 0
            yield worked

    def _run(self) -> None:
        while (row := self._rows.get()) is not None:
            self._results.put(self._worked(row))

    def _worked(self, row: PolicyRecord) -> Worked:
        try:
            return work(row, self._outside)
        except Exception:
            # One row that breaks us must not end the round; it is tried again later.
            log.exception("refresh broke", extra={"domain": row.domain})
            _plan_retry(row, self._outside.now())
            return Worked(row, None, None)


def work(row: PolicyRecord, outside: World) -> Worked:
    """Ask DNS and the policy host about a row, and make it say what came of it. No database."""
    name, started = row.name, outside.now()
    look = outside.look(name).look
    held, fetched = rows.snapshot(row), None
    now = outside.now()
    answer = decide_refresh(name.ascii, held, look, None, now, valid=row.is_valid(now))
    if answer is NEEDS_FETCH:
        fetched = outside.fetch(name)
        now = outside.now()
        answer = decide_refresh(name.ascii, held, look, fetched, now, valid=row.is_valid(now))
    assert answer is not NEEDS_FETCH  # noqa: S101 - it has what it needs
    error = first_error(fetched, look if fetched is None else None)
    changed = rows.is_change(row, answer, fetched)
    _keep(row, answer, fetched, now)
    fetch = fetches.ended(name, Fetch.Source.REFRESH, started, now, answer, error, changed)
    seen = outcomes.Seen(
        answer.result, now, source=outcomes.Source.REFRESH, resolver=answer.error is not None
    )
    return Worked(row, answer, fetch, seen)


def _keep(row: PolicyRecord, answer: Answer, fetched: Fetched | None, now: datetime) -> None:
    rows.keep(row, answer, fetched, now)
    if answer.error is None:
        rows.set_outcome(row, answer.result, now)
    if answer.store in {Store.HOLD, Store.USE, Store.NOTHING}:
        _plan_retry(row, now)


def _plan_retry(row: PolicyRecord, now: datetime) -> None:
    row.failures += 1
    row.refresh_due = rows.retry_due(row.failures, row.valid_end, now)
