"""A tick with nothing due costs the same whatever the number of policies."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import refresh
from policies.refresh import Counts
from tests.worlds import Script

pytestmark = pytest.mark.django_db


def test_no_query_of_an_idle_tick_reads_all_policies(script: Script) -> None:
    with CaptureQueriesContext(connection) as made:
        assert refresh.tick() == Counts()
    asked = [query["sql"] for query in made if "policies_policyrecord" in query["sql"]]
    assert len(asked) >= 5
    if connection.vendor != "sqlite":
        return  # PostgreSQL's plans depend on what is in the tables
    with connection.cursor() as cursor:
        for statement in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            steps = [step for *_, step in cursor.fetchall()]
            assert steps
            assert all(step.startswith("SEARCH") for step in steps), (statement, steps)
