"""A Debian in a directory, booted by its own systemd, on a network of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from tests.socketmap.server.running import wait_until

UP = STOPPED = 60.0
"""Seconds."""


class Booted:
    """Commands run in it as root types them on its console.

    `root`: the directory; what is in `directories` it sees at the same places. Needs root.
    """

    def __init__(self, root: Path, directories: Iterable[str] = ()) -> None:
        self._command = [
            "systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--private-network",
            "--register=no", "--keep-unit", "--console=pipe",
            *(f"--bind-ro={each}" for each in directories),
        ]  # fmt: skip

    def run(
        self, command: str, *, on_our_network: bool = False, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """What the line does."""
        fields = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **environ}
        return subprocess.run(
            [
                "nsenter", f"--target={self._init}", "--mount", "--uts", "--ipc", "--pid",
                *([] if on_our_network else ["--net"]), "--cgroup", "env", "-i",
                *(f"{name}={value}" for name, value in fields.items()), "sh", "-c", command,
            ],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip

    def type(self, command: str, *, on_our_network: bool = False, **environ: str) -> str:
        """What the line prints; it has to succeed."""
        done = self.run(command, on_our_network=on_our_network, **environ)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def __enter__(self) -> Booted:
        self._popen = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: any(self._inits()), UP)
            self._init = next(self._inits())
            wait_until(lambda: "running" in self.run("systemctl is-system-running").stdout, UP)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        """Shut it down; what does not heed that is killed with it."""
        self._popen.terminate()
        try:
            self._popen.wait(STOPPED)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(STOPPED)

    def _inits(self) -> Iterator[int]:
        """Its first process, once there is one: the one that is 1 to itself."""
        waiting = [self._popen.pid]
        while waiting:
            pid = waiting.pop()
            children = Path(f"/proc/{pid}/task/{pid}/children")
            try:
                waiting += map(int, children.read_text().split())
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
            if len(numbers) > 1 and numbers[-1] == "1" and "Name:\tsystemd\n" in status:
                yield pid
