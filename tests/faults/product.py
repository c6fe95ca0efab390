"""The whole product as processes of its own, on a database and ports of the test's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

from mtastsweb.environment import BASE_DIR
from tests.faults.database import Database
from tests.socketmap.server.client import Client
from tests.socketmap.server.process import environment, free_port, manage
from tests.socketmap.server.running import wait_until

UP = 90.0
STOPPED = 60.0
"""Seconds."""


class Product:
    """`manage.py start`, migrated, and what one does to it."""

    def __init__(self, data_dir: Path, settings: dict[str, str], **variables: str) -> None:
        data_dir.mkdir(exist_ok=True)
        self.data_dir = data_dir
        self.port = free_port()
        self.web = f"127.0.0.1:{free_port()}"
        self.environ = environment(
            data_dir, self.port, WEB_LISTEN=self.web, **{**settings, **variables}
        )
        self.database = Database(data_dir, variables.get("DATABASE_URL", ""))
        self._log = data_dir.parent / f"{data_dir.name}.log"
        self._popen: subprocess.Popen[bytes] | None = None
        self.manage("migrate", "--verbosity", "0")

    @property
    def log(self) -> str:
        """What it wrote to standard output and standard error."""
        return self._log.read_text()

    def manage(self, *command: str) -> str:
        return manage(command, self.environ)

    def call(self, code: str) -> None:
        """Have this done by a process that has the product's database."""
        self.manage("shell", "--verbosity", "0", "-c", code)

    def tick(self) -> None:
        """Have a worker tick now, and not only when the minute is over."""
        self.call("from policies import queue; queue.put_tick()")

    def start(self) -> None:
        """Returns once all of it serves."""
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, str(BASE_DIR / "manage.py"), "start"],
                env=self.environ, stdout=log, stderr=log,
            )  # fmt: skip
        self.wait_until_up()

    def wait_until_up(self) -> None:
        wait_until(self.is_up, UP)

    def is_up(self) -> bool:
        """Whether the web answers, the socketmap listens and a cluster works."""
        return self.answers_web() and self._is_listening() and len(self.session("worker")) > 1

    def answers_web(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.web}/healthz", timeout=5) as response:
                return bool(response.read() == b"ok")
        except OSError:
            return False

    def _is_listening(self) -> bool:
        with suppress(OSError):
            Client(("127.0.0.1", self.port)).close()
            return True
        return False

    def kill_supervisor(self) -> None:
        """`kill -9`; returns once nothing is left of what it had started."""
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait(STOPPED)
        wait_until(lambda: not self.processes(), STOPPED)

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        assert self._popen is not None
        self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait(STOPPED)

    def end(self) -> None:
        """Leaves nothing behind, however the test went."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait(STOPPED)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes(), STOPPED)

    def session(self, child: str) -> list[int]:
        """The living processes of one child, its leader first."""
        try:
            leader = int((self.data_dir / "run" / f"{child}.session").read_text())
        except (FileNotFoundError, ValueError):
            return []
        heirs = [pid for pid in self.processes() if _session_of(pid) == leader]
        return sorted(heirs, key=lambda pid: (pid != leader, pid))

    def processes(self) -> list[int]:
        """All that run in this product's environment."""
        mine = f"DATA_DIR={self.data_dir}".encode()
        return [
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if mine in _environ(process).split(b"\0")
        ]


def _environ(process: Path) -> bytes:
    """Empty for what has ended, a zombie included."""
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
