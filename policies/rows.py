"""Between rows and decisions: what a row says, and what an answer makes of it.

Nothing here touches the database; `policies.cache` and `policies.refresh` save what comes out.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from policies.decide import BACKOFF, Answer, Cached, Store
from policies.models.policy import PolicyRecord, certificate_fields, policy_fields
from policies.mtasts import Policy
from policies.mtasts.errors import MTASTSError, PolicySyntaxError
from policies.querysets import BACKOFF_KEPT, REFRESHED_FROM, UNUSED
from policies.storable import storable
from policies.tlsrpt.result import FailureDetails, Result

if TYPE_CHECKING:
    from policies.decide import Fetched
    from policies.mtasts.tls import PeerCertificate

DAILY = timedelta(days=1)
JITTER = 0.1
"""How far a planned refresh may move, as a share of the time to it."""

RECEIVED_KEPT = 65_536
"""How many characters of a text that did not parse are kept to be shown."""

STORED = (
    "valid_end", "last_update", "backoff", "record_id", "version", "mode", "mx", "max_age",
    "extensions", "policy_text", "refresh_due", "failed_id", "retry_at", "failure_type",
    "failure_reason", "failures", "failing_since", "edited", "published_differs", "held_mode",
    "held_end", "certificate_end", "certificate",
)  # fmt: skip
"""The columns that `keep` may change."""

OUTCOME = ("outcome_type", "outcome_failure", "outcome_reason", "outcome_at")


def cached(row: PolicyRecord | None, now: datetime) -> Cached | None:
    """What decisions see of a row: nothing, where there is none or it has expired."""
    return snapshot(row) if row is not None and row.is_valid(now) else None


def snapshot(row: PolicyRecord) -> Cached:
    """What a row says, whether or not it has expired."""
    return Cached(
        policy=row.policy,
        policy_text=row.policy_text,
        record_id=row.record_id,
        failed_id=row.failed_id,
        retry_at=row.retry_at,
        failure=row.failure,
        edited=row.edited is not None,
    )


def is_change(row: PolicyRecord | None, answer: Answer, fetched: Fetched | None) -> bool:
    """Whether a fetched policy is stored whose text is not what the row held."""
    if answer.store is not Store.POLICY or fetched is None or isinstance(fetched, MTASTSError):
        return False
    return row is None or row.backoff or row.policy_text != fetched.text


def keep(row: PolicyRecord, answer: Answer, fetched: Fetched | None, now: datetime) -> None:
    """Make the row say what the answer has to store; deletion is for the caller."""
    match answer.store:
        case Store.POLICY if fetched is not None and not isinstance(fetched, MTASTSError):
            set_policy(row, answer.record_id, fetched.policy, fetched.text, now)
            set_certificate(row, fetched.certificate)
        case Store.EDIT if fetched is not None and not isinstance(fetched, MTASTSError):
            row.published_differs = fetched.text != row.policy_text
            _renew(row, now)
            set_certificate(row, fetched.certificate)
        case Store.BACKOFF:
            received = fetched.received if isinstance(fetched, PolicySyntaxError) else ""
            set_backoff(row, answer.record_id, answer.failure, received, now)
        case Store.HOLD:
            set_hold(row, answer.record_id, answer.failure, now)


def set_policy(row: PolicyRecord, record_id: str, policy: Policy, text: str, now: datetime) -> None:
    """The row holds this policy, fetched now."""
    for name, value in policy_fields(policy).items():
        setattr(row, name, value)
    row.policy_text = text
    row.record_id = record_id
    row.backoff = False
    row.edited = None
    row.published_differs = False
    row.held_mode = ""
    row.held_end = None
    _renew(row, now)


def set_adopted(
    row: PolicyRecord, record_id: str, policy: Policy, fetched: datetime, now: datetime
) -> None:
    """The row holds this policy without its text, as fetched then by another program.

    Its refresh comes within a day and in the first half of what is left of its life, at random:
    thousands that came in together must not be fetched together.
    """
    set_policy(row, record_id, policy, "", fetched)
    ahead = min(DAILY, (row.valid_end - now) / 2)
    row.refresh_due = now + ahead * random.random()  # noqa: S311 - no secret


def _renew(row: PolicyRecord, now: datetime) -> None:
    """A fetch worked: the life of the row's policy counts from now."""
    row.valid_end = now + timedelta(seconds=row.max_age)
    row.last_update = now
    row.refresh_due = refresh_due(row.max_age, now)
    row.failures = 0
    row.failing_since = None
    row.failed_id = ""
    row.retry_at = None
    row.failure_type = ""
    row.failure_reason = ""


def set_backoff(
    row: PolicyRecord,
    record_id: str,
    failure: FailureDetails | None,
    received: str,
    now: datetime,
) -> None:
    """The row holds no policy, and says when to try again (RFC 8461 section 3.3)."""
    if row.pk is not None and not row.backoff:
        row.held_mode, row.held_end = row.mode, row.valid_end
    row.backoff = True
    row.edited = None
    row.published_differs = False
    row.version = ""
    row.mode = PolicyRecord.Mode.NONE
    row.mx = []
    row.extensions = []
    set_certificate(row, None)
    row.max_age = int(BACKOFF.total_seconds())
    row.policy_text = storable(received[:RECEIVED_KEPT])
    row.record_id = record_id
    row.valid_end = now + BACKOFF
    row.last_update = now
    # Looked at when it goes: what held a policy is remembered for longer.
    row.refresh_due = row.valid_end + (UNUSED if row.held_mode else BACKOFF_KEPT)
    set_hold(row, record_id, failure, now)


def set_edit(row: PolicyRecord, policy: Policy | None, now: datetime, *, text_edited: bool) -> None:
    """The row says what an operator wants; None: it holds no policy and backs off."""
    if policy is None:
        valid_end = row.valid_end or now + BACKOFF
        set_backoff(row, row.record_id, row.failure, row.policy_text, now)
        row.backoff, row.valid_end, row.retry_at = True, valid_end, valid_end
        return
    for name, value in policy_fields(policy).items():
        setattr(row, name, value)
    row.backoff = False
    if text_edited:
        row.edited, row.published_differs = now, False
    if row.valid_end is None:
        row.valid_end = now + timedelta(seconds=policy.max_age)
    row.refresh_due = min(refresh_due(row.max_age, now), max(row.valid_end, now))
    row.failures = 0
    row.failing_since = None
    row.failed_id, row.retry_at = "", None
    row.failure_type = row.failure_reason = ""


def set_hold(
    row: PolicyRecord, record_id: str, failure: FailureDetails | None, now: datetime
) -> None:
    """The fetch of this id failed: not tried again for five minutes."""
    row.failed_id = record_id
    row.failing_since = row.failing_since or now
    row.retry_at = now + BACKOFF
    row.failure_type = str(failure.result_type) if failure else ""
    row.failure_reason = failure.reason_code[:255] if failure else ""


def set_certificate(row: PolicyRecord, certificate: PeerCertificate | None) -> None:
    """The policy host showed this certificate."""
    for name, value in certificate_fields(certificate).items():
        setattr(row, name, value)


def set_outcome(row: PolicyRecord, result: Result, now: datetime) -> None:
    """The row's latest TLSRPT outcome."""
    for name, value in outcome_fields(result, now).items():
        setattr(row, name, value)


def outcome_fields(result: Result, now: datetime) -> dict[str, Any]:
    """The columns that hold a row's latest outcome."""
    failure = result.failures[0] if result.failures else FailureDetails("")
    return {
        "outcome_type": str(result.policy.type),
        "outcome_failure": str(failure.result_type),
        "outcome_reason": failure.reason_code[:255],
        "outcome_at": now,
    }


def refresh_due(max_age: int, now: datetime, *, loosely: bool = False) -> datetime:
    """When a policy fetched now is fetched anew: half of max_age on, at the latest a day.

    Jittered, so that what was stored together does not come due together. A short-lived policy is
    fetched when asked for instead; its row is looked at when it can be unused. `loosely`: anywhere
    in the second half of that time.
    """
    if max_age < REFRESHED_FROM:
        return now + UNUSED
    ahead = min(timedelta(seconds=max_age / 2), DAILY)
    return now + (ahead * random.uniform(0.5, 1) if loosely else _jittered(ahead))  # noqa: S311


def retry_due(failures: int, valid_end: datetime, now: datetime) -> datetime:
    """When a refresh that failed `failures` times running is tried again.

    Five minutes, doubling to a day, but once more before the policy ends.
    """
    due = now + _jittered(min(BACKOFF * 2 ** min(failures - 1, 16), DAILY))
    if now < valid_end:
        return min(due, max(valid_end - BACKOFF, now + BACKOFF))
    return due


def _jittered(span: timedelta) -> timedelta:
    share: float = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return span * share
