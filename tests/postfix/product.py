"""`manage.py socketmap` as a process of its own, on a database of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mtastsweb.environment import BASE_DIR
from tests.postfix.output import Output
from tests.settings import is_of_the_product


def migrated(directory: Path) -> dict[str, str]:
    """The environment of a product whose data is in `directory`, with its database made."""
    inherited = {name: value for name, value in os.environ.items() if not is_of_the_product(name)}
    environment = inherited | {"DATA_DIR": str(directory), "PYTHONUNBUFFERED": "1"}
    manage("migrate", "--verbosity", "0", environment=environment)
    return environment


@contextlib.contextmanager
def socketmap(environment: Mapping[str, str], port: int = 0) -> Iterator[str]:
    """Answers until the context ends; yields "inet:address:port", as main.cf writes it.

    `port`: 0 for any that is free.
    """
    port = port or free_port()
    with subprocess.Popen(
        [sys.executable, "manage.py", "socketmap"],
        cwd=BASE_DIR,
        env={**environment, "SOCKETMAP_LISTEN": f"127.0.0.1:{port}"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = Output(process.stderr)
        try:
            said.wait_for("socketmap answers")
            yield f"inet:127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)
            said.close()


def manage(*arguments: str, environment: Mapping[str, str]) -> None:
    """Runs `manage.py …`."""
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, cwd=BASE_DIR, env=environment, check=True, timeout=120)


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
