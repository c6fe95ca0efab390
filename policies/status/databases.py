"""The database: which one, how large, how quick."""

from __future__ import annotations

import time
from pathlib import Path

from django.db import connection

from policies.status.parts import Fact, Item, State

SLOW = 0.1
"""Seconds for a question that needs no table."""


def database() -> Item:
    """Its kind, size and latency; neither user nor password."""
    took = _latency()
    facts = (
        *(_of_sqlite() if connection.vendor == "sqlite" else _of_postgresql()),
        Fact("Answers in", f"{max(took * 1000, 0.1):.1f} ms"),
    )
    if took > SLOW:
        todo = "Every page and every lookup waits for it. See how busy its machine and disk are."
        return Item("Database", State.WARN, "slow", facts, todo)
    return Item("Database", State.OK, "answers", facts)


def _latency() -> float:
    """Seconds for a question that needs no table, once connected."""
    with connection.cursor() as cursor:
        started = time.monotonic()
        cursor.execute("SELECT 1")
        cursor.fetchone()
        return time.monotonic() - started


def _of_sqlite() -> tuple[Fact, ...]:
    with connection.cursor() as cursor:
        version, journal = cursor.execute(
            "SELECT sqlite_version(), journal_mode FROM pragma_journal_mode"
        ).fetchone()
    file = Path(connection.settings_dict["NAME"])
    log = file.with_name(f"{file.name}-wal")
    return (
        Fact("Engine", f"SQLite {version}"),
        Fact("File", str(file)),
        Fact("Size", f"{_mebibytes(file)} and {_mebibytes(log)} of log"),
        Fact("Journal", journal.upper()),
    )


def _mebibytes(file: Path) -> str:
    try:
        return f"{file.stat().st_size / 2**20:,.1f} MiB"
    except FileNotFoundError:
        return "0 MiB"


def _of_postgresql() -> tuple[Fact, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_database(),"
            " pg_database_size(current_database())"
        )
        version, name, size = cursor.fetchone()
    return (
        Fact("Engine", f"PostgreSQL {version}"),
        Fact("Database", f"{name} at {connection.settings_dict['HOST'] or 'a local socket'}"),
        Fact("Size", f"{size / 2**20:,.1f} MiB"),
    )
