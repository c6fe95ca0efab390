"""All children together: one supervisor per run directory."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from policies import stopping
from policies.supervisor.child import Child, ChildSpec
from policies.supervisor.keeper import CLEAR_UP_LOCK, START_LOCK, kept
from policies.supervisor.session import end_leftovers
from policies.supervisor.signals import STOP_SIGNALS, Signals

logger = logging.getLogger(__name__)

_IDLE_WAIT = 1.0  # seconds
_BUSY_WAIT = 0.05  # seconds
_LEFTOVER_PATIENCE = 10.0  # seconds


class AlreadyRunning(Exception):
    """Another supervisor holds the run directory."""


class Supervisor:
    """Runs the children of `specs` until SIGTERM, SIGINT or SIGHUP.

    `on_up` is called once, when all of them serve. A second signal within `same_request` seconds
    is not yet impatience: one Ctrl-C can arrive twice, from the terminal and from make.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        run_dir: Path,
        environ: Mapping[str, str],
        on_up: Callable[[], None],
        same_request: float = 1.0,
    ) -> None:
        self._run_dir = run_dir
        self._children = [Child(spec, run_dir, environ) for spec in specs]
        self._on_up = on_up
        self._same_request = same_request

    def run(self) -> None:
        """Returns when all children have stopped. To be called inside `exclusive`."""
        stopping.withdraw(self._run_dir)  # else the work of this run heeds the last one's stop
        with Signals() as signals:
            try:
                self._run_until_asked(signals)
            finally:
                self._stop(signals)

    def _run_until_asked(self, signals: Signals) -> None:
        is_up = False
        while True:
            now = time.monotonic()
            for child in self._children:
                child.step(now)
            is_up = is_up or self._note_up()
            is_settled = is_up and not any(child.is_changing for child in self._children)
            if signals.wait(_IDLE_WAIT if is_settled else _BUSY_WAIT) & STOP_SIGNALS:
                return

    def _note_up(self) -> bool:
        if not all(child.is_running and child.spec.is_up() for child in self._children):
            return False
        self._on_up()
        return True

    def _stop(self, signals: Signals) -> None:
        logger.info("stopping; a second signal ends it at once")
        stopping.announce(self._run_dir)
        asked = time.monotonic()
        for stage in sorted({child.spec.stage for child in self._children}):
            ending = [child for child in self._children if child.spec.stage == stage]
            for child in ending:
                child.stop(time.monotonic())
            while any(child.is_running for child in ending):
                again = signals.wait(_BUSY_WAIT) & STOP_SIGNALS
                if again and time.monotonic() - asked > self._same_request:
                    for child in self._children:
                        child.kill()
                for child in ending:
                    child.step(time.monotonic())


@contextmanager
def exclusive(run_dir: Path, patience: float = _LEFTOVER_PATIENCE) -> Iterator[None]:
    """Holds the run directory, and clears what an earlier supervisor left over there.

    `patience`: seconds that leftovers have to stop by themselves. Raises AlreadyRunning. The
    directory's locks end with this process, however it ends.
    """
    run_dir.mkdir(mode=0o700, exist_ok=True)
    with (run_dir / START_LOCK).open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(f"process {lock.read() or 'unknown'}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _clear_up(run_dir, patience)
        with kept(run_dir, patience):
            yield


def _clear_up(run_dir: Path, patience: float) -> None:
    with (run_dir / CLEAR_UP_LOCK).open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in end_leftovers(run_dir, patience):
            logger.warning("ended what an earlier run had left over", extra={"child": name})
