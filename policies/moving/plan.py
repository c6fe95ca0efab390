"""What of a source is new to our cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies import cache
from policies.models import PolicyRecord
from policies.moving.found import Bad, Found
from policies.mtasts import Domain

BATCH = 500


@dataclass(slots=True)
class Plan:
    """`adopt`: policies that still hold. `fetch`: domains to look up. `known`: cached already."""

    adopt: list[cache.Adoption] = field(default_factory=list)
    fetch: list[Domain] = field(default_factory=list)
    known: int = 0
    bad: list[Bad] = field(default_factory=list)


def make(things: Iterable[Found | Bad], now: datetime) -> Plan:
    """Reads all of the source, and of the database what it needs; writes nothing."""
    plan = Plan()
    found: dict[str, Found] = {}
    for thing in things:
        if isinstance(thing, Bad):
            plan.bad.append(thing)
        else:
            found.setdefault(thing.domain.unicode, thing)
    names = list(found)
    for start in range(0, len(names), BATCH):
        _sort([found[name] for name in names[start : start + BATCH]], plan, now)
    return plan


def _sort(batch: Sequence[Found], plan: Plan, now: datetime) -> None:
    valid = PolicyRecord.objects.valid(now).filter(
        domain__in=[found.domain.unicode for found in batch]
    )
    backing_off = dict(valid.values_list("domain", "backoff"))
    for found in batch:
        is_backing_off = backing_off.get(found.domain.unicode)
        adoption = _adoption(found, now)
        if is_backing_off is False or (is_backing_off and adoption is None):
            plan.known += 1
        elif adoption is not None:
            plan.adopt.append(adoption)
        else:
            plan.fetch.append(found.domain)


def _adoption(found: Found, now: datetime) -> cache.Adoption | None:
    """The policy, if the source has it and it has not ended."""
    held = found.held
    if held is None:
        return None
    fetched = min(held.fetched, now)  # a clock that was wrong makes no policy last longer
    if fetched + timedelta(seconds=held.policy.max_age) <= now:
        return None
    return cache.Adoption(found.domain, held.record_id, held.policy, fetched)
