"""The processes that are measured, each on its own, and what they cost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A process that answers on a port. `started`: seconds from its start to its first answer."""

    def __init__(self, popen: subprocess.Popen[bytes], port: int, started: float) -> None:
        self._popen = popen
        self.port = port
        self.started = started

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self._popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory(self) -> float:
        """MiB in memory."""
        status = Path(f"/proc/{self._popen.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024


@contextmanager
def server(*command: str, port: int, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that has answered once."""
    began = time.monotonic()
    popen = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environ)
    try:
        _first_answer(port, popen)
        yield Server(popen, port, time.monotonic() - began)
    finally:
        popen.send_signal(signal.SIGTERM)
        popen.wait(30)


@contextmanager
def lab(delay: float = 0) -> Iterator[dict[str, str]]:
    """The product's environment for a laboratory of its own process."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "bench.lab", str(delay)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert popen.stdout is not None
    try:
        yield dict(line.rstrip("\n").split("=", 1) for line in iter(popen.stdout.readline, "\n"))
    finally:
        popen.terminate()
        popen.wait(30)
        popen.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _first_answer(port: int, popen: subprocess.Popen[bytes]) -> None:
    """Returns when a request that needs no lookup is answered."""
    while popen.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(b"14:postfix [none],")
                if client.recv(100):
                    return
        except ConnectionRefusedError:
            time.sleep(0.005)
    raise RuntimeError(f"{popen.args} ended at once")
