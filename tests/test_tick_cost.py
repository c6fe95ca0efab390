"""What a tick costs does not depend on the number of policies, but on how many are due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import cache, jobs, refresh
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
