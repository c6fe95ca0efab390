"""How the database finds the rows that a page asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db import connection
from django.test.utils import CaptureQueriesContext


@dataclass(frozen=True)
class Plan:
    """The database's own words, a line for each step."""

    steps: tuple[str, ...]

    @property
    def reads_a_whole_table(self) -> bool:
        """Whether a table is read from end to end without an index that gives its order."""
        return any(
            "Seq Scan" in step or (re.match("SCAN (?!subquery)", step) and "INDEX" not in step)
            for step in self.steps
        )

    @property
    def sorts(self) -> bool:
        """Whether all rows that match are read and sorted before the first one is shown."""
        return any(re.search("USE TEMP B-TREE|^ *(-> *)?Sort", step) for step in self.steps)


def of(captured: CaptureQueriesContext, table: str) -> Plan:
    """The plan of the first query of this table."""
    start = re.compile(f'SELECT .* FROM "{table}"')
    return explain(next(each["sql"] for each in captured if start.match(each["sql"])))


def explain(sql: str) -> Plan:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return Plan(tuple(row[3] for row in cursor.fetchall()))
        # A small table is read whole whatever there is; the question is whether it has to be.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {sql}")
        return Plan(tuple(row[0] for row in cursor.fetchall()))
