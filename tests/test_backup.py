"""`manage.py backup` and `restore`: the same, row for row, and nothing lost on the way."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mtastsweb.environment import BASE_DIR
from policies.mtasts import parse_policy
from tests.faults.database import Database
from tests.socketmap.server.process import Process, environment, free_port, manage

POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"
MANAGE = str(BASE_DIR / "manage.py")
TIMEOUT = 60  # seconds


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a thousand policies."""
    path = tmp_path_factory.mktemp("backup")
    manage(["migrate", "--verbosity", "0"], environment(path, free_port()))
    names = [f"d{number}.example.org" for number in range(1000)]
    Database(path).store(names, POLICY, parse_policy(POLICY), datetime.now(UTC))
    return path


@pytest.fixture
def environ(migrated: Path, tmp_path: Path) -> dict[str, str]:
    """Of a copy of it, for one test."""
    shutil.copytree(migrated, tmp_path / "data")
    return environment(tmp_path / "data", free_port())


@pytest.fixture
def here(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy's database, which commands called in this process work on."""
    monkeypatch.setitem(connection.settings_dict, "NAME", str(database(environ)))
    return database(environ)


@pytest.fixture
def saved(here: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    call("backup", tmp_path / "saved")
    return tmp_path / "saved"


class TestBackup:
    def test_is_the_database_row_for_row(self, here: Path, saved: Path) -> None:
        assert dump(saved) == dump(here)

    def test_says_what_it_holds_and_is_for_its_owner_alone(
        self, here: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "other"
        assert call("backup", target).startswith(f"{target}: 1,000 policies, 0 users, ")
        assert target.stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "other"]

    def test_does_not_hold_the_secret_key(self, environ: dict[str, str], saved: Path) -> None:
        key = Path(environ["DATA_DIR"], "secret-key").read_bytes()
        assert key
        assert key not in saved.read_bytes()

    def test_replaces_no_file_unless_told_to(self, here: Path, saved: Path) -> None:
        saved.write_text("precious")
        with refused(73, "--force"):
            call("backup", saved)
        assert saved.read_text() == "precious"
        call("backup", saved, "--force")
        assert dump(saved) == dump(here)

    def test_refuses_a_place_that_is_none(self, here: Path, tmp_path: Path) -> None:
        for place in (tmp_path, tmp_path / "missing" / "file", here):
            with refused(73, str(place)):
                call("backup", place, "--force")
        assert len(dump(here)) > 1000

    def test_a_damaged_database_makes_no_backup(self, here: Path, tmp_path: Path) -> None:
        damage(here)
        with refused(65, "cannot be copied"):
            call("backup", tmp_path / "saved")
        assert not (tmp_path / "saved").exists()

    def test_is_of_one_moment_while_others_write_and_restores_to_the_same(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        counts = []
        with writing(environ):
            for number in range(2):
                target = tmp_path / f"saved-{number}"
                manage(["backup", str(target)], environ)
                counts.append(assert_whole(target))
        assert counts == sorted(set(counts)), "nobody wrote meanwhile"

        other = environment(tmp_path / "other", free_port())
        manage(["restore", str(tmp_path / "saved-1"), "--yes"], other)
        assert dump(database(other)) == dump(tmp_path / "saved-1")
        assert len(manage(["mtasts", "list"], other).splitlines()) == 1000 + 2 * counts[1]


class TestRestore:
    def test_brings_everything_back_and_keeps_what_was_there(self, here: Path, saved: Path) -> None:
        before = dump(saved)
        execute(here, "DELETE FROM policies_policyrecord WHERE id > 1")
        replaced = dump(here)
        said = call("restore", saved, "--yes")
        assert "Restored: 1,000 policies" in said
        assert dump(here) == before == dump(saved)
        (kept,) = here.parent.glob("db.sqlite3.before-restore-*")
        assert str(kept) in said
        assert dump(kept) == replaced
        assert here.stat().st_mode & 0o777 == 0o600

    def test_into_an_empty_directory(self, here: Path, saved: Path) -> None:
        here.unlink()
        assert "kept" not in call("restore", saved, "--yes")
        assert dump(here) == dump(saved)

    def test_only_looks_without_yes(
        self, here: Path, saved: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        execute(here, "DELETE FROM policies_policyrecord")
        before = dump(here)
        with refused(1, "--yes"):
            call_command("restore", str(saved))
        assert "1,000 policies" in capsys.readouterr().out
        assert dump(here) == before

    def test_not_while_the_product_runs(self, environ: dict[str, str], saved: Path) -> None:
        server = Process(environ)
        try:
            server.client().close()
            with refused(75, "Stop it first"):
                call("restore", saved, "--yes")
        finally:
            server.terminate()
        call("restore", saved, "--yes")

    def test_not_while_another_program_has_it_open(self, here: Path, saved: Path) -> None:
        before = dump(here)
        with closing(sqlite3.connect(here)) as other:
            other.execute("SELECT COUNT(*) FROM policies_policyrecord").fetchone()
            with refused(75, "Something else has"):
                call("restore", saved, "--yes")
        assert dump(here) == before

    @pytest.mark.parametrize("command", ["start", "qcluster", "socketmap", "mtasts", "web"])
    def test_nothing_starts_meanwhile(self, environ: dict[str, str], command: str) -> None:
        words = [MANAGE, command, "list"] if command == "mtasts" else [MANAGE, command]
        if command == "web":
            words = ["-m", "gunicorn", "--config", "python:mtastsweb.gunicorn"]
        with Path(f"{database(environ)}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(
                [sys.executable, *words],
                env=environ, cwd=BASE_DIR, check=False, capture_output=True, text=True,
                timeout=TIMEOUT,
            )  # fmt: skip
        assert done.returncode == (1 if command == "web" else 75)
        assert "is being restored" in done.stderr

    def test_refuses_what_is_no_backup_and_changes_nothing(
        self, here: Path, saved: Path, tmp_path: Path
    ) -> None:
        before = dump(here)
        text, other, damaged = tmp_path / "text", tmp_path / "other", tmp_path / "damaged"
        text.write_text("a letter to the postmaster\n" * 1000)
        execute(other, "CREATE TABLE django_migrations (app TEXT, name TEXT)")
        shutil.copy(saved, damaged)
        damage(damaged)
        for source in (text, other, damaged, tmp_path / "missing", here, tmp_path):
            for words in (["--yes"], []):
                with refused(65, "Nothing was changed"):
                    call("restore", source, *words)
        assert dump(here) == before
        assert not list(here.parent.glob("*before-restore*"))

    def test_refuses_a_backup_of_a_newer_program(self, here: Path, saved: Path) -> None:
        execute(saved, "INSERT INTO django_migrations (app, name, applied)"
                " VALUES ('policies', '9999_of_later', '2030-01-01')")  # fmt: skip
        with refused(78, "9999_of_later"):
            call("restore", saved, "--yes")

    def test_a_backup_of_an_older_program_wants_to_be_migrated(
        self, here: Path, saved: Path
    ) -> None:
        execute(saved, "DELETE FROM django_migrations WHERE id ="
                " (SELECT MAX(id) FROM django_migrations WHERE app = 'policies')")  # fmt: skip
        assert "manage.py migrate" in call("restore", saved, "--yes")

    def test_takes_the_place_of_a_damaged_database(self, here: Path, saved: Path) -> None:
        here.write_bytes(b"not what it was" * 1000)
        Path(f"{here}-wal").write_bytes(b"nor this")
        call("restore", saved, "--yes")
        assert dump(here) == dump(saved)
        kept = sorted(path.read_bytes()[:8] for path in here.parent.glob("*before-*"))
        assert kept == [b"nor this", b"not what"]


@pytest.mark.postgres
@pytest.mark.django_db
def test_postgresql_has_its_own_tools() -> None:
    from policies import backup

    with pytest.raises(backup.CannotBackUp, match="pg_dump"):
        backup.save(Path("anywhere"))
    with pytest.raises(backup.CannotRestore, match="pg_restore"):
        backup.look_at(Path("anywhere"))


@contextmanager
def writing(environ: Mapping[str, str]) -> Iterator[None]:
    """Another process writes all the time."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.backup_writer"],
        env={**environ}, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        yield
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()


def assert_whole(path: Path) -> int:
    """How many pairs of rows the writer had written; none of them is torn or left out."""
    with closing(sqlite3.connect(path)) as opened:
        counts = [
            opened.execute(
                "SELECT COUNT(*) FROM policies_policyrecord WHERE domain LIKE ?", [f"{kind}-%"]
            ).fetchone()[0]
            for kind in ("first", "second")
        ]
        last = opened.execute("SELECT domain FROM policies_policyrecord ORDER BY id DESC LIMIT 1")
        assert last.fetchone() == (f"second-{counts[0] - 1}.example",)
    assert counts[0] == counts[1]
    return int(counts[0])


def database(environ: Mapping[str, str]) -> Path:
    return Path(environ["DATA_DIR"], "db.sqlite3")


def call(command: str, file: Path, *words: str) -> str:
    """What the command prints."""
    said = io.StringIO()
    call_command(command, str(file), *words, stdout=said)
    return said.getvalue()


@contextmanager
def refused(status: int, words: str) -> Iterator[None]:
    """The command says these words, and ends with this exit status."""
    with pytest.raises(CommandError) as caught:
        yield
    assert words in str(caught.value)
    assert caught.value.returncode == status


def dump(path: Path) -> list[str]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as opened:
        return list(opened.iterdump())


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute(statement)


def damage(path: Path) -> None:
    """Overwrite the middle of a file, past the pages that tell what is in it."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(os.urandom(8 * 4096))
