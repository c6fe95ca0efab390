"""What keeps the tables bounded, whatever names mail is addressed to and policies come to."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

from policies.models.outcome import Outcome, OutcomeAllowance
from policies.outcomes.batch import Kind, PolicyKey, Rows, elsewhere
from policies.outcomes.upsert import BATCH, added, upsert

PAIRS_PER_HOUR = 10_000
"""New pairs of domain and day; the domains beyond that are counted together."""

POLICIES_PER_PAIR = 20
"""Policies that a domain may show us in a day; those beyond that are counted without their text."""


def bounded(rows: Rows) -> Rows:
    """The same lookups, in as many rows as there may be."""
    known = _known_rows(rows)
    policies = Counter((day, domain) for day, domain, _, _ in known)
    new = sorted({key.pair for key in rows if key.kind is Kind.DOMAIN} - policies.keys())
    refused = set(new[_allowed(len(new), max(row.last for row in rows.values())) :])
    bounded: Rows = {}
    for key, row in sorted(rows.items(), key=lambda item: item[0].pair):
        place = key
        if key.kind is Kind.DOMAIN and key.pair in refused:
            place = elsewhere(key)
        elif key.kind is Kind.DOMAIN and (*key.pair, key.source, key.policy.digest) not in known:
            policies[key.pair] += 1
            if policies[key.pair] > POLICIES_PER_PAIR:
                place = key._replace(policy=PolicyKey(key.policy.type))
        if place in bounded:
            bounded[place].absorb(row)
        else:
            bounded[place] = row
    return bounded


def _known_rows(rows: Rows) -> set[tuple[date, str, str, str]]:
    """What is there already of these domains on these days."""
    domains = sorted({key.domain for key in rows if key.kind is Kind.DOMAIN})
    days = {key.day for key in rows}
    found: set[tuple[date, str, str, str]] = set()
    for start in range(0, len(domains), BATCH):
        there = Outcome.objects.filter(
            domain__in=domains[start : start + BATCH], day__in=days, kind=Kind.DOMAIN
        )
        found.update(there.values_list("day", "domain", "source", "policy_id"))
    return found


def _allowed(wanted: int, now: datetime) -> int:
    """How many of so many new pairs this hour still has room for."""
    if not wanted:
        return 0
    hour = now.replace(minute=0, second=0, microsecond=0)
    taken = upsert(
        OutcomeAllowance,
        [{"hour": hour, "taken": wanted}],
        ("hour",),
        {"taken": added},
        returning="taken",
    )
    (after,) = taken.values()
    return max(0, min(wanted, PAIRS_PER_HOUR - (int(after) - wanted)))
