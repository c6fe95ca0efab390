"""Types commands of `manage.py`, one after the other, on one start of Python.

    python -m tests.docs.typing_in < [{"words": […], "stdin": PATH|null, "stdout": PATH|null}, …]

prints `[{"status", "stdout", "stderr"}, …]`. Each command is a process of its own, as if typed, but
forked from this one, which has loaded the product: that takes ten times as long as what most of
them do. In a process of its own, because the tests' has their settings, threads and connections.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mtastsweb.environment import BASE_DIR

TOGETHER = 600.0
"""Seconds after which all of them together count as hanging."""


@dataclass(frozen=True, slots=True)
class Typed:
    """Words behind `manage.py`, and the files that stand in for a pipe and a redirection."""

    words: list[str]
    stdin: str | None = None
    stdout: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `stdout` is empty where it went into a file."""

    status: int
    stdout: str
    stderr: str


def type_in(commands: Sequence[Typed], environ: dict[str, str], directory: Path) -> list[Ended]:
    """How each ended, typed in this directory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.typing_in"],
        input=json.dumps([asdict(each) for each in commands]),
        env=environ | {"PYTHONPATH": str(BASE_DIR)}, cwd=directory,
        capture_output=True, text=True, timeout=TOGETHER,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Ended(**each) for each in json.loads(done.stdout)]


def _load() -> None:
    """All that a command would load; no connection, thread or lock, which no child may share."""
    import django
    from django.core.checks import run_checks
    from django.core.management import get_commands, load_command_class

    django.setup()
    for name, app in get_commands().items():
        if app == "policies":
            load_command_class(app, name)
    run_checks()  # as each command does, which loads every page and the admin


def _run(command: Typed) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _become(command, out.fileno(), err.fileno())
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, out.read().decode(), err.read().decode())


def _become(command: Typed, out: int, err: int) -> None:
    """The command, in this process, to its end."""
    from mtastsweb.__main__ import main

    os.dup2(os.open(command.stdin or os.devnull, os.O_RDONLY), 0)
    if command.stdout:
        out = os.open(command.stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["manage.py", *command.words]
    main()
    sys.exit()


if __name__ == "__main__":
    typed = [Typed(**each) for each in json.load(sys.stdin)]
    _load()
    print(json.dumps([asdict(_run(each)) for each in typed]))
