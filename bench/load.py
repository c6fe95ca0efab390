"""The load generator: built from load.c once, and run."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from policies.socketmap.netstring import encode

_SOURCE = Path(__file__).with_name("load.c")


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it. Latencies are in microseconds."""

    answers: int
    seconds: float
    ok: int
    p50: float
    p95: float
    p99: float
    p999: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


def ask(
    port: int,
    names: Iterable[str],
    *,
    connections: int,
    seconds: float,
    map_name: str = "postfix",
    rate: float = 0,
) -> Load:
    """Ask for these domains at random for so long; each once, in order, where `seconds` is 0.

    `rate`: so many a second, whatever the server does; 0: each connection as fast as it can.
    """
    with tempfile.NamedTemporaryFile("wb") as requests:
        for name in names:
            requests.write(encode(f"{map_name} {name}".encode()) + b"\n")
        requests.flush()
        command = [
            _built(), "127.0.0.1", str(port), str(connections), str(seconds), requests.name,
            str(rate),
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Load(**json.loads(done.stdout))


@cache
def _built() -> str:
    folder = tempfile.mkdtemp(prefix="bench-")
    program = str(Path(folder, "load"))
    subprocess.run(["cc", "-O2", "-o", program, str(_SOURCE)], check=True)
    return program
