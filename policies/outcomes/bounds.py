"""What keeps the tables bounded, whatever names mail is addressed to and policies come to."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

from policies.models.outcome import Outcome, OutcomeAllowance
from policies.outcomes.batch import Kind, Rows, elsewhere
from policies.outcomes.upsert import BATCH, added, upsert

PAIRS_PER_HOUR = 10_000
"""New pairs of domain and day; the domains beyond that are counted together."""

POLICIES_PER_PAIR = 20
"""Policies that a domain may show us in a day; those beyond that are counted without their text."""


Stored = tuple[date, str, str, str]
"""What tells rows of domains apart in the table: `RowKey.stored`."""


def stored_rows(rows: Rows) -> set[Stored]:
    """The rows that there are already of these domains on these days."""
    domains = sorted({key.domain for key in rows if key.kind is Kind.DOMAIN})
    days = {key.day for key in rows}
    found: set[Stored] = set()
    for start in range(0, len(domains), BATCH):
        there = Outcome.objects.filter(
            domain__in=domains[start : start + BATCH], day__in=days, kind=Kind.DOMAIN
        )
        found.update(there.values_list("day", "domain", "source", "policy_id"))
    return found


def bounded(rows: Rows, stored: set[Stored]) -> Rows:
    """The same lookups, in as many rows as there may be."""
    policies = Counter((day, domain) for day, domain, _, _ in stored)
    new = sorted({key.pair for key in rows if key.kind is Kind.DOMAIN} - policies.keys())
    refused = set(new[_allowed(len(new), max(row.last for row in rows.values())) :])
    bounded: Rows = {}
    for key, row in rows.items():
        place = key
        if key.kind is Kind.DOMAIN and key.pair in refused:
            place = elsewhere(key)
        elif key.kind is Kind.DOMAIN and key.stored not in stored:
            policies[key.pair] += 1
            if policies[key.pair] > POLICIES_PER_PAIR:
                place = key._replace(policy=key.policy.unnamed)
        if place in bounded:
            bounded[place].absorb(row)
        else:
            bounded[place] = row
    return bounded


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
