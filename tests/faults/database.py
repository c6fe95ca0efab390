"""The product's database as a stranger sees it: plain SQL, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from policies.mtasts import Policy

Rows = list[tuple[Any, ...]]


class Database:
    """`url`: of PostgreSQL; else the file that the product keeps in its data directory."""

    def __init__(self, data_dir: Path, url: str = "") -> None:
        self._path = data_dir / "db.sqlite3"
        self._url = url

    def rows(self, statement: str, *values: object) -> Rows:
        return self.many(statement, [values])

    def number(self, statement: str, *values: object) -> int:
        return int(self.rows(statement, *values)[0][0])

    def many(self, statement: str, all_values: Sequence[Sequence[object]]) -> Rows:
        """What the statement returns, run once for each; all in one transaction."""
        if self._url:
            with psycopg.connect(self._url, options="-c TimeZone=UTC") as connection:
                cursor = connection.cursor()
                cursor.executemany(statement.replace("?", "%s"), all_values, returning=True)
                return cursor.fetchall() if cursor.pgresult and cursor.description else []
        with closing(sqlite3.connect(self._path, timeout=20)) as connection, connection:
            if len(all_values) > 1:
                connection.executemany(statement, all_values)
                return []
            return connection.execute(statement, all_values[0]).fetchall()

    def store(self, domains: Sequence[str], text: str, policy: Policy, due: datetime) -> None:
        """A row for each, as if its policy had been fetched some days ago."""
        now = datetime.now(UTC)
        self.many(
            "INSERT INTO policies_policyrecord (domain, valid_end, record_id, version, mode, mx,"
            " max_age, policy_text, last_use, refresh_due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    domain, _stored(now + timedelta(days=3)), "1", policy.version,
                    str(policy.mode), json.dumps(list(map(str, policy.mx))), policy.max_age,
                    text, _stored(now), _stored(due),
                )
                for domain in domains
            ],
        )  # fmt: skip


def _stored(moment: datetime) -> str:
    """As both databases take it; SQLite sorts it as text."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
