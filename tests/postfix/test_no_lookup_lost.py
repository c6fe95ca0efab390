"""`postmap -q` all the time, while the socketmap restarts and while the product is upgraded.

What systemd does is done here by hand, as the units in deploy/systemd/ have it: the socket stays
open, the old server is asked to stop, the database is migrated, the new server gets the socket.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from mtastsweb.environment import BASE_DIR
from tests.needs import find_program, needs_program
from tests.socketmap.server.process import Process, environment, free_port, manage

if TYPE_CHECKING:
    from tests.lab.lab import Lab

pytestmark = [pytest.mark.postfix, needs_program("postmap", apt="postfix")]

POLICY = "version: STSv1\nmode: enforce\nmx: mx.steady.test\nmax_age: 86400\n"
SECURE = "secure match=mx.steady.test servername=hostname\n"
ASKERS = 3
LATER = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("policies", "{leaf}")]
    operations = [
        migrations.RunSQL("CREATE TABLE policies_of_later (id INTEGER PRIMARY KEY)"),
        migrations.RunSQL("CREATE INDEX of_later ON policies_policyrecord (record_id, inserted)"),
    ]
"""


@pytest.fixture
def environ(tmp_path: Path, lab: Lab) -> dict[str, str]:
    """Of a migrated product, and a domain with a policy."""
    made = environment(tmp_path / "data", free_port()) | lab.settings()
    manage(["migrate", "--verbosity", "0"], made)
    lab.domain("steady.test", POLICY)
    return made


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """The product with one more migration."""
    copy = tmp_path / "next"
    for name in ("mtastsweb", "policies", "static", "templates"):
        shutil.copytree(BASE_DIR / name, copy / name)
    shutil.copy(BASE_DIR / "manage.py", copy)
    migrations = copy / "policies" / "migrations"
    leaf = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / "9999_of_later.py").write_text(LATER.format(leaf=leaf))
    return copy


def test_a_restart(environ: dict[str, str], tmp_path: Path) -> None:
    with held(environ) as port, asked_steadily(port.socket, tmp_path) as answers:
        first = port.serve()
        answers.wait_for_more()
        assert first.terminate() == 0
        second = port.serve()
        answers.wait_for_more()
        answers.stop()
        assert second.terminate() == 0
    assert answers.wrong == []


def test_an_upgrade(environ: dict[str, str], next_version: Path, tmp_path: Path) -> None:
    with held(environ) as port, asked_steadily(port.socket, tmp_path) as answers:
        old = port.serve()
        answers.wait_for_more()
        assert old.terminate() == 0
        subprocess.run(
            [sys.executable, next_version / "manage.py", "migrate", "--verbosity", "0"],
            env=environ, check=True, timeout=120,
        )  # fmt: skip
        new = port.serve(next_version / "manage.py")
        answers.wait_for_more()
        answers.stop()
        assert new.terminate() == 0
    assert answers.wrong == []
    refused = subprocess.run(
        [sys.executable, BASE_DIR / "manage.py", "mtasts", "list"],
        env=environ, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "9999_of_later" in refused.stderr, "the database was not migrated"


class Answers:
    """What `postmap -q` came to. `wrong`: each that was not the policy."""

    def __init__(self, where: tuple[str, int], directory: Path) -> None:
        self._table = f"socketmap:inet:{where[0]}:{where[1]}:postfix"
        self._config = directory / "postfix"
        self._config.mkdir()
        (self._config / "main.cf").write_text("compatibility_level = 3.6\n")
        self._stopped = threading.Event()
        self._more = threading.Condition()
        self._askers = [threading.Thread(target=self._ask_steadily) for _ in range(ASKERS)]
        self.right = 0
        self.wrong: list[str] = []

    def _ask_steadily(self) -> None:
        while not self._stopped.is_set():
            done = subprocess.run(
                [find_program("postmap") or "postmap", "-c", self._config, "-q", "steady.test",
                 self._table],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            with self._more:
                if (done.returncode, done.stdout) == (0, SECURE):
                    self.right += 1
                else:
                    self.wrong.append(f"{done.returncode} {done.stdout} {done.stderr}")
                self._more.notify_all()

    def wait_for_more(self) -> None:
        """Until each asker has had another answer."""
        with self._more:
            enough = self.right + 3 * ASKERS
            assert self._more.wait_for(lambda: self.wrong or self.right >= enough, timeout=60)
        assert self.wrong == []

    def start(self) -> None:
        for asker in self._askers:
            asker.start()

    def stop(self) -> None:
        """Ask no more, and wait for the last answers."""
        self._stopped.set()
        for asker in self._askers:
            asker.join(120)


@contextmanager
def asked_steadily(sock: socket.socket, directory: Path) -> Iterator[Answers]:
    answers = Answers(sock.getsockname(), directory)
    answers.start()
    try:
        yield answers
    finally:
        answers.stop()


@dataclass
class Held:
    """The socket, as systemd holds it, and whom it was handed to."""

    socket: socket.socket
    environ: dict[str, str]
    servers: list[Process] = field(default_factory=list)

    def serve(self, program: Path = BASE_DIR / "manage.py") -> Process:
        """Hand it to a server of this program."""
        self.servers.append(Process(self.environ, self.socket, program))
        return self.servers[-1]


@contextmanager
def held(environ: dict[str, str]) -> Iterator[Held]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as sock:
        port = Held(sock, environ)
        try:
            yield port
        finally:
            for server in port.servers:
                server.kill()
