"""From a row and what was found about its domain to a sighting worth writing down.

Every lookup that misses memory passes here, so what is healthy leaves at the first condition.
No database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.alerts import judge
from policies.alerts.evidence import Before
from policies.alerts.judge import Held
from policies.alerts.kinds import FETCH, Kind, of_bits
from policies.models import Fetch, PolicyRecord
from policies.mtasts import Domain, Mode, Record
from policies.mtasts.errors import MTASTSError

if TYPE_CHECKING:
    from policies.decide import Fetched, Look
    from policies.tlsrpt.result import FailureDetails

SPACING = timedelta(minutes=5)
"""A domain that is asked for a thousand times a second is noted once in so long."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look found of one domain, as rows name it.

    `kinds`: what is wrong. `policy_end`: until when the policy held stays in force. `last_failure`:
    how the fetch before this look failed, if it did.
    """

    domain: str
    kinds: frozenset[Kind]
    held: Held
    before: Before
    before_text: str
    policy_end: datetime
    last_failure: FailureDetails | None
    look: Look
    fetched: Fetched | None
    source: Fetch.Source
    at: datetime


def of(
    row: PolicyRecord | None,
    name: Domain,
    look: Look,
    fetched: Fetched | None,
    source: Fetch.Source,
    now: datetime,
) -> Sighting | None:
    """What is worth noting; None where all is well, or was noted just now.

    To be asked before the row is made to say what was fetched.
    """
    if row is None:
        return None
    is_open = bool(row.open_alerts)
    if not is_open:
        if fetched is None and isinstance(look, Record) and row.failing_since is None:
            return None
        if row.mode != PolicyRecord.Mode.ENFORCE and row.held_mode != PolicyRecord.Mode.ENFORCE:
            return None
        if _is_known(row, look, fetched):
            return None
    held = _held(row, now if source == Fetch.Source.LOOKUP else row.last_use)
    open_kinds = of_bits(row.open_alerts or 0)
    kinds = judge.sightings(held, look, fetched, now)
    if open_kinds & FETCH:
        kinds -= {Kind.REFRESH_FAILING}  # told already, by its cause
    if not judge.may_end(open_kinds, look, fetched) and (
        not kinds or (fetched is None and _is_noted(row, kinds, open_kinds, now))
    ):
        return None
    return Sighting(
        domain=name.unicode,
        kinds=kinds,
        held=held,
        before=_before(row),
        before_text="" if row.backoff else row.policy_text,
        policy_end=held.valid_end,
        last_failure=row.failure,
        look=look,
        fetched=fetched,
        source=source,
        at=now,
    )


def _is_noted(
    row: PolicyRecord, kinds: frozenset[Kind], open_kinds: frozenset[Kind], now: datetime
) -> bool:
    """Whether the same was written down just now, or found to be our own fault.

    Not for fetches, which are rare, and see more than the lookups that come between them.
    """
    if row.alert_noted is None or not timedelta(0) <= now - row.alert_noted < SPACING:
        return False
    return kinds <= open_kinds or not open_kinds


def _is_known(row: PolicyRecord, look: Look, fetched: Fetched | None) -> bool:
    """Whether the fetch brought what the row has, under a valid record: as nearly always."""
    return (
        isinstance(look, Record)
        and fetched is not None
        and not isinstance(fetched, MTASTSError)
        and fetched.text == row.policy_text
    )


def _held(row: PolicyRecord, used_at: datetime | None) -> Held:
    if row.backoff and row.held_mode and row.held_end is not None:
        mode, policy, valid_end = Mode(row.held_mode), None, row.held_end
    else:
        mode, policy, valid_end = Mode(row.mode), row.policy, row.valid_end
    return Held(
        mode=mode,
        policy=policy,
        valid_end=valid_end,
        used_at=used_at,
        edited=row.edited is not None,
        failing_since=row.failing_since,
    )


def _before(row: PolicyRecord) -> Before:
    return Before(
        record_id=row.record_id,
        mode=row.held_mode if row.backoff else row.mode,
        max_age=0 if row.backoff else row.max_age,
        mx=[] if row.backoff else row.mx,
        last_update=row.last_update,
        failures=row.failures,
        failing_since=row.failing_since,
    )
