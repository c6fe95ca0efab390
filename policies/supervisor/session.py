"""A child process in a session of its own, with everything that it started.

Each child holds a lock on a file, its mark, through a descriptor that it inherits and hands down
to what it forks: while the lock is held, someone of that session lives, and the process group
whose number stands in the file is theirs. No process id can be mistaken for a reused one.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from policies.supervisor.forking import Fork, Main

_POLL = 0.05  # seconds


class Session:
    """One running child. Raises BlockingIOError where an earlier one of the same mark lives."""

    def __init__(self, run: Sequence[str] | Main, environ: Mapping[str, str], mark: Path) -> None:
        self._mark = mark
        with _locked(mark) as descriptor:
            os.ftruncate(descriptor, 0)

            def write_own_number() -> None:
                os.write(descriptor, str(os.getpid()).encode())

            self._leader: Fork | subprocess.Popen[bytes]
            if callable(run):
                self._leader = Fork(mark.stem, run, environ, descriptor, write_own_number)
                return
            self._leader = subprocess.Popen(  # noqa: S603 - the product's own commands
                run,
                env=environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(descriptor,),
                # Safe here: the supervisor has one thread.
                preexec_fn=write_own_number,
            )

    @property
    def pid(self) -> int:
        return self._leader.pid

    def terminate(self) -> None:
        """Asks the leader alone to stop: django-q2's cluster hangs when its group is asked."""
        self._leader.terminate()

    def kill(self) -> None:
        """Ends all of the session at once."""
        _kill_group(self._leader.pid)

    def ended(self) -> int | None:
        """The leader's exit status once nobody of the session is left, or None.

        What outlives its leader is killed.
        """
        if self._leader.poll() is None:
            return None
        if _is_held(self._mark):
            self.kill()
            return None
        return self._leader.returncode


def end_leftovers(run_dir: Path, patience: float) -> list[str]:
    """Ends the sessions whose marks in `run_dir` are held; returns their names.

    Leaders are asked first; what still lives after `patience` seconds is killed.
    """
    held = [mark for mark in sorted(run_dir.glob("*.session")) if _is_held(mark)]
    for mark in held:
        with suppress(ProcessLookupError, ValueError):
            os.kill(_group(mark), signal.SIGTERM)
    deadline = time.monotonic() + patience
    alive = held
    while alive := [mark for mark in alive if _is_held(mark)]:
        if time.monotonic() >= deadline:
            for mark in alive:
                with suppress(ValueError):
                    _kill_group(_group(mark))
        time.sleep(_POLL)
    return [mark.stem for mark in held]


def _group(mark: Path) -> int:
    """The process group of a held mark; ValueError in the instant before it is written."""
    return int(mark.read_text(encoding="ascii"))


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _is_held(mark: Path) -> bool:
    try:
        with _locked(mark):
            return False
    except BlockingIOError:
        return True


@contextmanager
def _locked(mark: Path) -> Iterator[int]:
    """A descriptor of the mark with the lock, which its heirs keep when it is closed here."""
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)
