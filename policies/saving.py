"""Writes what came of the rows of a refresh, in batches, and counts it."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, fields

from django.db import DatabaseError, DataError, IntegrityError, connection, transaction

from policies import alerts, history, jobs, metrics, mxcheck, outcomes, rows, world
from policies.decide import BACKOFF
from policies.inserting import insert
from policies.models import Fetch, PolicyRecord
from policies.turns import Worked

log = logging.getLogger(__name__)

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


def save(batch: list[Worked], counts: Counts, progress: jobs.Progress) -> None:
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
            save([worked], counts, progress)
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


def save_late(worked: Worked) -> None:
    """What a thread does whose round is over: it saves by itself, with a connection of its own."""
    try:
        save([worked], Counts(), jobs.Progress())
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
