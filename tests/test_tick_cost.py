"""What a tick costs does not depend on the number of policies, but on how many are due."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import cache, jobs, refresh, tasks
from policies.models import PolicyRecord
from policies.saving import Counts
from tests.worlds import ENFORCE, NOON, TESTING, Script, policy

pytestmark = pytest.mark.django_db


def searches(made: CaptureQueriesContext) -> int:
    """How many of these queries asked for policies; on SQLite each of them by an index."""
    queries = [query["sql"] for query in made if "policies_policyrecord" in query["sql"]]
    # What is run for many rows is noted without their values ("2 times: UPDATE …").
    asked = [sql for sql in queries if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    if connection.vendor != "sqlite":
        return len(asked)  # PostgreSQL's plans depend on what is in the tables
    with connection.cursor() as cursor:
        for statement in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            steps = [step for *_, step in cursor.fetchall()]
            assert steps
            assert not any(step.startswith("SCAN") for step in steps), (statement, steps)
    return len(asked)


GROWING = ("policyrecord", "policyversion", "mxcheck", "fetch", "alert", "outcome", "change")
"""What there is the more of the more policies there are."""

SMALL = ("policy_with_alerts", "fetch_one_open_per_domain")
"""Indexes of what is wrong or under way alone, which may be read from end to end."""


def test_no_part_of_an_idle_tick_reads_all_there_is(script: Script) -> None:
    tasks._work(script.now(), time.monotonic())  # which counts, as only some do
    asked: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert tasks._work(script.now(), time.monotonic())
    asked = [each for each in asked if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(asked) >= 30
    if connection.vendor != "sqlite":
        return  # PostgreSQL's plans depend on what is in the tables
    with connection.cursor() as cursor:
        for statement, values in asked:
            # With parameters, as it is asked: SQLite does not see by them what an index holds.
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            steps = [step for *_, step in cursor.fetchall()]
            read = [
                step
                for step in steps
                if step.startswith("SCAN") and not any(name in step for name in SMALL)
            ]
            tables = [name for name in GROWING if f'"policies_{name}"' in statement]
            assert not (read and tables), (statement, read)


def test_no_query_of_an_idle_tick_reads_all_policies(script: Script) -> None:
    with CaptureQueriesContext(connection) as made:
        assert refresh.tick() == Counts()
    assert searches(made) >= 5


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=7)], ids=["due", "overdue"])
def test_no_query_of_a_round_reads_all_policies(script: Script, late: timedelta) -> None:
    for domain in ("due.example", "asked.example"):
        cache.upsert(domain, "1", policy(), ENFORCE)
    PolicyRecord.objects.update(last_use=NOON)
    PolicyRecord.objects.filter(domain="due.example").update(refresh_due=NOON - late)
    jobs.begin_refetch(PolicyRecord.objects.filter(domain="asked.example"), "one", None)
    script.publish(TESTING, "2")
    with CaptureQueriesContext(connection) as made:
        assert refresh.tick() == Counts(due=2, refreshed=2)
    assert searches(made) >= 15
