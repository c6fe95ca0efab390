"""What of a look at DNS and a fetch is a downgrade: the pure judgement behind alerts.

It knows no database and no clock; docs/decisions/0009-alarm.md has its rules as tables, and
tests/alerts/test_judge.py holds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from policies.alerts.kinds import FETCH, NOTICES, RECORD, Kind
from policies.mtasts import Mode, Policy, Record
from policies.mtasts.errors import (
    CertificateError,
    MTASTSError,
    NoPolicyError,
    NoRecordError,
    PolicySyntaxError,
    RecordError,
)
from policies.mtasts.zones import zone

if TYPE_CHECKING:
    from policies.decide import Fetched, Look

USED = timedelta(days=30)
"""Domains that no mail server asked for in so long raise no alert."""

HELD = timedelta(days=30)
"""How long after its end an enforce policy still counts: outlasting it must not silence us."""

FAILING = timedelta(days=3)
"""How long a refresh may fail before it is told of, unless half of the policy's life goes first."""

CUT_BELOW = 86_400
"""Seconds. A max_age cut that stays a day or more is what RFC 8461 section 8.3 advises."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the cache held before this look.

    `mode`: of the policy held, or held last. `policy`: None where only its mode is remembered.
    `valid_end`: its end. `used_at`: the last mail server's lookup, this one included. `edited`:
    an operator wrote it. `failing_since`: when the first of the fetches failed that failed in a
    row; None where the last one worked.
    """

    mode: Mode
    policy: Policy | None
    valid_end: datetime
    used_at: datetime | None
    edited: bool = False
    failing_since: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Whether it is an enforce policy of a domain in use: what an alert can be about."""
        if self.mode is not Mode.ENFORCE or now - self.valid_end > HELD:
            return False
        return self.used_at is not None and now - self.used_at <= USED


def sightings(held: Held, look: Look, fetched: Fetched | None, now: datetime) -> frozenset[Kind]:
    """What is wrong now. `fetched`: None where the policy host was not asked.

    Where DNS fails nothing is, by itself: nobody can tell then whether a record is there.
    """
    if not held.counts(now):
        return frozenset()
    policy = served(fetched)
    if policy is not None and policy.mode is Mode.NONE:
        return frozenset()  # the domain opts out, over verified HTTPS (section 8.3)
    found = set(_of_record(look))
    if policy is not None:
        if held.policy is None:
            found |= {Kind.ENFORCE_TO_TESTING} if policy.mode is Mode.TESTING else set()
        elif not held.edited:
            found |= weakenings(held.policy, policy)
    else:
        found |= set(_of_failure(fetched))
        if not found & FETCH and is_failing(held, now):
            found.add(Kind.REFRESH_FAILING)
    return frozenset(found)


def _of_record(look: Look) -> Iterable[Kind]:
    if isinstance(look, NoRecordError):
        yield Kind.RECORD_GONE
    elif isinstance(look, RecordError):
        yield Kind.RECORD_BROKEN


def _of_failure(fetched: Fetched | None) -> Iterable[Kind]:
    if isinstance(fetched, NoPolicyError):
        yield Kind.HOST_GONE
    elif isinstance(fetched, CertificateError):
        yield Kind.CERTIFICATE_REFUSED
    elif isinstance(fetched, PolicySyntaxError):
        yield Kind.POLICY_INVALID


def served(fetched: Fetched | None) -> Policy | None:
    """The policy that a fetch brought, if it did."""
    return None if fetched is None or isinstance(fetched, MTASTSError) else fetched.policy


def failing_from(failing_since: datetime, valid_end: datetime) -> datetime:
    """When a refresh that fails since then has failed for too long.

    After three days, or half of the life that the policy had left, whichever is first.
    """
    left = valid_end - failing_since
    return failing_since + (min(FAILING, left / 2) if left > timedelta(0) else FAILING)


def is_failing(held: Held, now: datetime) -> bool:
    since = held.failing_since
    return since is not None and now >= failing_from(since, held.valid_end)


def weakenings(before: Policy, after: Policy) -> frozenset[Kind]:
    """How much less `after` promises than `before`, an enforce policy, did.

    Where nothing is enforced any more, max_age and mx matter no longer.
    """
    if before.mode is not Mode.ENFORCE or after.mode is Mode.NONE:
        return frozenset()
    if after.mode is Mode.TESTING:
        return frozenset({Kind.ENFORCE_TO_TESTING})
    found = set()
    if after.max_age < CUT_BELOW and 2 * after.max_age < before.max_age:
        found.add(Kind.MAX_AGE_CUT)
    if new_zones(before, after):
        found.add(Kind.MX_WIDENED)
    return frozenset(found)


def new_zones(before: Policy, after: Policy) -> tuple[str, ...]:
    """The registrable domains whose hosts `after` allows and `before` did not."""
    if before.mx == after.mx:
        return ()  # as nearly always, and the list of suffixes need not be loaded
    return tuple(sorted(_zones(after) - _zones(before)))


def _zones(policy: Policy) -> set[str]:
    return {zone(str(pattern).removeprefix("*.")) for pattern in policy.mx}


class Standing(Enum):
    """How an open alert fares by a new look."""

    SEEN = "seen"
    WELL = "well"
    OPTED_OUT = "opted out"
    UNKNOWN = "unknown"


def standing(
    kind: Kind,
    before: Policy | None,
    seen: frozenset[Kind],
    look: Look,
    fetched: Fetched | None,
) -> Standing:
    """How an open alert of this kind fares. `before`: the policy held when it opened, if known.

    `seen`: what `sightings` found now, against what is held now.
    """
    policy = served(fetched)
    if policy is not None and policy.mode is Mode.NONE:
        return Standing.OPTED_OUT
    if kind in NOTICES:
        return _notice_standing(kind, before, policy)
    if kind in seen:
        return Standing.SEEN
    if kind in RECORD:
        # Of a domain that is not in use nothing is seen, and so no end either.
        is_over = isinstance(look, Record) or bool(seen & RECORD)
        return Standing.WELL if is_over else Standing.UNKNOWN
    return Standing.UNKNOWN if policy is None else Standing.WELL


def _notice_standing(kind: Kind, before: Policy | None, after: Policy | None) -> Standing:
    """What is held now is what the domain changed to: the measure is what was held before."""
    if after is None:
        return Standing.UNKNOWN
    if before is None:
        is_weak = after.mode is Mode.TESTING and kind is Kind.ENFORCE_TO_TESTING
    else:
        is_weak = kind in weakenings(before, after)
    return Standing.SEEN if is_weak else Standing.WELL


def may_end(open_kinds: frozenset[Kind], look: Look, fetched: Fetched | None) -> bool:
    """Whether any of these can have come to an end, as far as can be told without reading them."""
    if served(fetched) is not None:
        return bool(open_kinds)
    return isinstance(look, Record) and bool(open_kinds & RECORD)
