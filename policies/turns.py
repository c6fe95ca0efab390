"""One row's turn in the refresh: DNS, the policy host, and what the row says then. No database."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mtastsweb import requestid
from policies import alerts, fetches, history, outcomes, rows
from policies.alerts import judge, sighting
from policies.crew import NoPlace
from policies.decide import BACKOFF, NEEDS_FETCH, Answer, NeedsFetch, Store, decide, decide_refresh
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import FetchError, first_error
from policies.politeness import REASON, Places

if TYPE_CHECKING:
    from policies.decide import Fetched, Look
    from policies.world import World

log = logging.getLogger(__name__)

LATE = timedelta(hours=1)
"""Overdue by so much: the round is catching up, and plans the next time loosely."""


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


def take(turn: Turn, outside: World, places: Places | None) -> Worked:
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
