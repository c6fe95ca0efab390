"""A database of the first version goes forward; a program meets only a database that is its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR
from policies.mtasts import parse_policy
from tests.faults.database import Database
from tests.needs import needs_root
from tests.socketmap.server.cluster import Cluster, programs
from tests.socketmap.server.process import environment, free_port, manage

POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"
FIRST = "0002_search_schedule_roles"
"""The last migration of the first version that landed."""

MANAGE = str(BASE_DIR / "manage.py")
COMMANDS = {
    "start": [MANAGE, "start"],
    "qcluster": [MANAGE, "qcluster"],
    "socketmap": [MANAGE, "socketmap"],
    "mtasts": [MANAGE, "mtasts", "list"],
    "setup-link": [MANAGE, "setup-link"],
    "web": ["-m", "gunicorn", "--config", "python:mtastsweb.gunicorn"],
}


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.slow, needs_root()])],
)
def environ(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Of a product whose database is migrated."""
    data_dir, web = tmp_path_factory.mktemp("upgrade"), f"127.0.0.1:{free_port()}"
    with _cluster() if request.param == "postgresql" else nullcontext({}) as variables:
        made = environment(data_dir, free_port(), WEB_LISTEN=web, **variables)
        manage(["migrate", "--verbosity", "0"], made)
        yield made


@contextmanager
def _cluster() -> Iterator[dict[str, str]]:
    """What the environment says of a PostgreSQL of the test's own."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    cluster = Cluster(folder, found)
    cluster.start()
    try:
        yield {"DATABASE_URL": cluster.url, "SECRET_KEY": "for tests"}
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture
def newer(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """A program of later has migrated the database."""
    _execute(environ, "INSERT INTO django_migrations (app, name, applied)"
             " VALUES ('policies', '9999_of_later', '2030-01-01 00:00:00')")  # fmt: skip
    yield environ
    _execute(environ, "DELETE FROM django_migrations WHERE name = '9999_of_later'")


@pytest.fixture
def older(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The last migration is not applied."""
    _execute(environ, "UPDATE django_migrations SET app = 'gone' WHERE id ="
             " (SELECT MAX(id) FROM django_migrations WHERE app = 'policies')")  # fmt: skip
    yield environ
    _execute(environ, "UPDATE django_migrations SET app = 'policies' WHERE app = 'gone'")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_database_is_refused_and_not_written_to(
    newer: dict[str, str], command: str
) -> None:
    before = _dump(newer)
    done = _run(newer, COMMANDS[command])
    assert done.returncode == (1 if command == "web" else 78)
    assert "A newer program has changed the database (9999_of_later)" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert _dump(newer) == before


@pytest.mark.parametrize("command", [["migrate"], ["check", "--database", "default"]])
def test_djangos_commands_refuse_a_newer_database(
    newer: dict[str, str], command: list[str]
) -> None:
    before = _dump(newer)
    done = _run(newer, [MANAGE, *command])
    assert done.returncode == 1
    assert "(mtasts.E003) A newer program has changed the database" in done.stderr
    assert _dump(newer) == before


@pytest.mark.parametrize("command", ["start", "web"])
def test_an_older_database_wants_to_be_migrated(older: dict[str, str], command: str) -> None:
    done = _run(older, COMMANDS[command])
    assert done.returncode == (1 if command == "web" else 78)
    assert "Run `.venv/bin/python manage.py migrate`." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_the_first_version_migrates(tmp_path: Path) -> None:
    environ = environment(tmp_path, free_port())
    _migrates(environ, Database(tmp_path), rows=1000, within=20)


@pytest.mark.slow
def test_a_million_rows_migrate_on_sqlite(tmp_path: Path) -> None:
    environ = environment(tmp_path, free_port())
    _migrates(environ, Database(tmp_path), rows=1_000_000, within=120)


@pytest.mark.slow
@needs_root()
def test_a_million_rows_migrate_on_postgresql(tmp_path: Path) -> None:
    with _cluster() as variables:
        environ = environment(tmp_path, free_port(), **variables)
        database = Database(tmp_path, variables["DATABASE_URL"])
        _migrates(environ, database, rows=1_000_000, within=120)


def _migrates(environ: Mapping[str, str], database: Database, *, rows: int, within: float) -> None:
    manage(["migrate", "policies", FIRST, "--verbosity", "0"], environ)
    now = datetime.now(UTC)
    names = [f"d{number}.example.org" for number in range(rows)]
    database.store(names, POLICY, parse_policy(POLICY), now)
    before = database.rows(ROWS)
    began = time.monotonic()
    manage(["migrate", "--verbosity", "0"], environ)
    took = time.monotonic() - began
    assert database.rows(ROWS) == before
    assert database.number("SELECT COUNT(*) FROM policies_policyrecord") == rows
    assert manage(["mtasts", "list", "--limit", "1"], environ)
    assert took < within


ROWS = (
    "SELECT domain, policy_text, mode, max_age, record_id FROM policies_policyrecord"
    " WHERE id <= 1000 ORDER BY id"
)


def _run(environ: Mapping[str, str], command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], env=environ, cwd=BASE_DIR,
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def _database(environ: Mapping[str, str]) -> Database:
    return Database(Path(environ["DATA_DIR"]), environ.get("DATABASE_URL", ""))


def _execute(environ: Mapping[str, str], statement: str) -> None:
    _database(environ).rows(statement)


def _dump(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """All rows of all tables, and those that say which tables and indexes there are."""
    database = _database(environ)
    if "DATABASE_URL" in environ:
        schema = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    else:
        schema = "SELECT name, sql FROM sqlite_master"
        names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    tables = [f"SELECT * FROM {name}" for (name,) in database.rows(names)]
    return {each: sorted(map(repr, database.rows(each))) for each in (schema, *tables)}
