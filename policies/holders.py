"""Who holds claims, leases and tasks, so that what a killed process held need not lapse.

A holder is one run of the worker, or of the socketmap, with all processes that it forks. Its name
begins each token that they write into the database. Names of runs are kept in a file of the data
directory, beside a lock that a run and its forks hold until the last of them is gone: whoever gets
the lock knows that the runs named there are dead, and may take over what they held.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

SEPARATOR = ":"

REFRESH = f"{SEPARATOR}refresh"
"""Ends the tokens by which the refresh claims rows: an operator's refetch takes these over."""


@dataclass(frozen=True, slots=True)
class _Run:
    """This process's run. `names`: of the dead ones before it; None: not known here."""

    name: str
    names: Path | None = None


_run = _Run("")


def begin(kind: str, run_dir: Path) -> None:
    """This process begins a run of this kind. What it forks from now on belongs to it.

    A second one of a kind in the same data directory gets a name, and takes nothing over.
    """
    global _run
    run_dir.mkdir(mode=0o700, exist_ok=True)
    if _lock(run_dir / f"{kind}.holder.lock"):
        _run = _Run("", run_dir / f"{kind}.holders")
    renew()


def renew() -> None:
    """All that worked in this run's name is dead: what is forked from now on has another name."""
    global _run
    _run = _Run(secrets.token_hex(8), _run.names)
    if _run.names is not None:
        _write(_run.names, [*_read(_run.names), _run.name])


def token() -> str:
    """Another one each time; tells whose it is, where a run was begun."""
    return f"{_run.name}{SEPARATOR}{uuid.uuid4().hex}" if _run.name else uuid.uuid4().hex


def prefix(name: str) -> str:
    """How the tokens of this holder begin."""
    return f"{name}{SEPARATOR}"


def dead() -> list[str]:
    """The holders that are dead for certain, and whose claims, leases and tasks may be left."""
    return [] if _run.names is None else [name for name in _read(_run.names) if name != _run.name]


def forget(names: list[str]) -> None:
    """Nothing is left of these holders."""
    if _run.names is not None:
        _write(_run.names, [name for name in _read(_run.names) if name not in names])


def _lock(path: Path) -> bool:
    """Whether nobody else has it. Held by what is forked from now on, until the last one ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def _write(path: Path, names: list[str]) -> None:
    """Whole or not at all: a process can be killed here as well."""
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text("".join(f"{name}\n" for name in names), encoding="ascii")
    aside.replace(path)
