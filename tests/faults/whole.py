"""What has to hold after every fault."""

from __future__ import annotations

import json
from collections.abc import Sequence

from policies.mtasts import parse_policy
from tests.faults.database import Database, Rows
from tests.faults.product import Product

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
