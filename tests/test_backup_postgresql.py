"""pg_dump and pg_restore as docs/backup.md has them: the same, row for row, and it works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from policies import cache
from policies.models import PolicyRecord
from tests.needs import needs_program
from tests.worlds import ENFORCE, Script, policy

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    needs_program("pg_dump", apt="postgresql-client"),
]


@pytest.fixture
def restored() -> Iterator[str]:
    """The address of an empty database, which is dropped after the test."""
    name = f"{connection.settings_dict['NAME']}_restored"
    _admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield _address(name)
    _admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_restored_dump_is_the_database_row_for_row(
    script: Script, restored: str, tmp_path: Path
) -> None:
    for number in range(100):
        cache.upsert(f"d{number}.example", "1", policy(ENFORCE), ENFORCE)
    dump = tmp_path / "mtastsweb.dump"
    here = _address(str(connection.settings_dict["NAME"]))
    _run("pg_dump", "--format=custom", f"--file={dump}", here)
    PolicyRecord.objects.filter(domain="d0.example").delete()
    _run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(dump))
    before, after = _tables(here), _tables(restored)
    assert before.keys() == after.keys()
    assert len(after["policies_policyrecord"]) == 100
    untouched = before.keys() - {"policies_policyrecord", "policies_change"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    with psycopg.connect(restored) as opened:
        # Triggers and generated columns came along.
        opened.execute("DELETE FROM policies_policyrecord WHERE domain = 'd1.example'")
        last = opened.execute("SELECT domain FROM policies_change ORDER BY seq DESC LIMIT 1")
        assert last.fetchone() == ("d1.example",)
        keys = opened.execute("SELECT DISTINCT last_use_key FROM policies_policyrecord").fetchall()
        assert keys == [(datetime(1970, 1, 1, tzinfo=UTC),)]


def _tables(address: str) -> dict[str, list[Any]]:
    """Every row of every table, as text."""
    with psycopg.connect(address) as opened:
        names = opened.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        return {
            name: sorted(
                str(row)
                for row in opened.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
            )
            for (name,) in names
        }


def _address(name: str) -> str:
    """Of a database on the server of this run."""
    return urlunsplit(urlsplit(settings.MTASTS.database_url)._replace(path=f"/{name}"))


def _admin(statement: sql.Composed) -> None:
    with psycopg.connect(settings.MTASTS.database_url, autocommit=True) as opened:
        opened.execute(statement)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
