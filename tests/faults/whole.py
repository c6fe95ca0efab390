"""What has to hold after every fault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from policies.mtasts import parse_policy
from tests.faults.database import Database, Rows
from tests.faults.lookups import PAUSE, Lookups
from tests.faults.product import Product

LOST = int(5 / PAUSE)
"""Lookups that one `kill -9` of the socketmap may leave uncounted: it writes them down each two
seconds, and waits for others who write."""

STATEMENT = (
    "SELECT domain, policy_text, mode, mx, max_age, backoff, claim, job"
    " FROM policies_policyrecord ORDER BY domain"
)


def check(product: Product, domains: Sequence[str]) -> None:
    """Nothing lost, nothing half-written, nothing stuck, counts right."""
    rows = product.database.rows(STATEMENT)
    assert sorted(row[0] for row in rows) == sorted(domains)
    for row in rows:
        _check_row(row)
    assert _open(product.database) == {"fetches": [], "jobs": [], "leases": []}
    product.call("from policies import summary; from django.utils import timezone;"
                 " summary.count(timezone.now())")  # fmt: skip
    ((counts,),) = product.database.rows(
        "SELECT counts FROM policies_summary WHERE name = 'policies'"
    )
    counts = counts if isinstance(counts, dict) else json.loads(counts)
    assert (counts["cached"], counts["open"]) == (len(domains), 0)


def check_counts(product: Product, lookups: Lookups, *, kills: int = 0) -> None:
    """Each lookup that was answered is counted once, as an outcome and as a use of its policy.

    `kills`: how often the socketmap was killed. An answer that it gave and that did not arrive is
    counted as well.
    """
    lost, unheard = kills * LOST, lookups.broken if kills else 0
    rows = product.database.rows(
        "SELECT domain, SUM(count) FROM policies_outcome"
        " WHERE source = 'lookup' AND kind = 'domain' GROUP BY domain"
    )
    counted = Counter({domain: int(number) for domain, number in rows})
    assert (lookups.asked - counted).total() <= lost
    assert (counted - lookups.asked).total() <= unheard
    total = product.database.number(
        "SELECT COALESCE(SUM(count), 0) FROM policies_outcometotal"
        " WHERE source = 'lookup' AND kind = 'domain' AND result_type = ''"
    )
    assert total == counted.total()
    uses = dict(product.database.rows("SELECT domain, last_use FROM policies_policyrecord"))
    behind = [domain for domain, last in lookups.last.items() if _moment(uses[domain]) < last]
    assert len(behind) <= lost, behind


def _moment(stored: str | datetime) -> datetime:
    """SQLite keeps times as text."""
    if isinstance(stored, datetime):
        return stored
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)


def _check_row(row: tuple[str, str, str, str | list[str], int, bool, str, int | None]) -> None:
    domain, text, mode, mx, max_age, backoff, claim, job = row
    policy = parse_policy(text)
    patterns = json.loads(mx) if isinstance(mx, str) else mx
    stored = (mode, patterns, max_age)
    assert stored == (policy.mode, list(map(str, policy.mx)), policy.max_age), domain
    assert (bool(backoff), claim, job) == (False, "", None), domain


def _open(database: Database) -> dict[str, Rows]:
    """What still waits or runs: nothing should, once all is done."""
    return {
        "fetches": database.rows("SELECT domain, state FROM policies_fetch WHERE state <> 'done'"),
        "jobs": database.rows("SELECT id, kind FROM policies_job WHERE state = 'running'"),
        "leases": database.rows("SELECT name FROM policies_lease WHERE holder <> ''"),
    }
