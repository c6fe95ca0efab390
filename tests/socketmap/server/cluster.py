"""A PostgreSQL cluster of the test's own, to be stopped and started."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.socketmap.server.process import free_port


def programs() -> Path | None:
    """Where initdb and pg_ctl are; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Cluster:
    """Has to be run as root: PostgreSQL refuses to be, so it becomes the user postgres.

    `wal`: a directory to be made for its write-ahead log, where that is to lie elsewhere.
    """

    def __init__(self, folder: Path, bin_dir: Path, wal: Path | None = None) -> None:
        self._bin = bin_dir
        self._data = folder / "cluster"
        self._port = free_port()
        folder.chmod(0o755)
        for path in filter(None, (self._data, wal)):
            path.mkdir()
            shutil.chown(path, "postgres", "postgres")
        elsewhere = [f"--waldir={wal}"] if wal else []
        self._run("initdb", "--auth=trust", "--no-sync", "--username=postgres", *elsewhere)
        self.url = f"postgres://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "-w", "-l", str(self._data / "log"), "-o", options, "start")

    def stop(self) -> None:
        """At once, as a crash does it."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        subprocess.run(
            command, user="postgres", group="postgres", extra_groups=[], cwd="/",
            check=True, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
