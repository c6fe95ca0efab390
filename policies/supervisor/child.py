"""One child over time: started, watched, restarted when it dies, stopped when asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policies.supervisor.backoff import Backoff
from policies.supervisor.forking import Main
from policies.supervisor.session import Session

logger = logging.getLogger(__name__)

_WATCH_EVERY = 5.0  # seconds
_UNHEALTHY_PATIENCE = 5.0  # seconds


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What is run, and how it is to be treated.

    `run`: a command, or a function that is run in a fork of the supervisor.
    `stage`: children of a lower stage are stopped before those of a higher one are asked to.
    `stop_seconds`: how long a child may take to stop before it is killed.
    `is_up`: whether it serves yet. `is_healthy`: whether it still does its work; asked every few
    seconds once it has run for `watch_after` seconds, and a child that is not is restarted.
    """

    name: str
    run: tuple[str, ...] | Main
    stage: int = 0
    stop_seconds: float = 10.0
    is_up: Callable[[], bool] = _always
    is_healthy: Callable[[], bool] = _always
    watch_after: float = 60.0
    backoff: Callable[[], Backoff] = field(default=Backoff)


class Child:
    """The state of one child. `now` is always a monotonic clock's, in seconds."""

    def __init__(self, spec: ChildSpec, run_dir: Path, environ: Mapping[str, str]) -> None:
        self.spec = spec
        self._environ = environ
        self._mark = run_dir / f"{spec.name}.session"
        self._backoff = spec.backoff()
        self._session: Session | None = None
        self._is_wanted = True
        self._start_at = self._started = self._watch_at = 0.0
        self._kill_at: float | None = None

    @property
    def is_running(self) -> bool:
        return self._session is not None

    @property
    def is_changing(self) -> bool:
        """Whether something is about to happen that no signal will tell of."""
        return not self.is_running or self._kill_at is not None

    def step(self, now: float) -> None:
        """Does what is due at `now`."""
        if self._session is None:
            if self._is_wanted and now >= self._start_at:
                self._start(now)
        elif (status := self._session.ended()) is not None:
            self._note_end(status, now)
        elif self._kill_at is not None:
            if now >= self._kill_at:
                self._session.kill()
        elif now >= self._watch_at:
            self._watch(now)

    def stop(self, now: float) -> None:
        """Asks the child to end for good."""
        self._is_wanted = False
        self._terminate(now, self.spec.stop_seconds)

    def kill(self) -> None:
        """Ends the child for good, at once."""
        self._is_wanted = False
        if self._session:
            self._session.kill()

    def _start(self, now: float) -> None:
        try:
            self._session = Session(self.spec.run, self._environ, self._mark)
        except BlockingIOError:
            return  # the last of the earlier run is about to go; the next step tries again
        self._started, self._kill_at = now, None
        self._watch_at = now + self.spec.watch_after
        logger.info("started", extra={"child": self.spec.name, "pid": self._session.pid})

    def _note_end(self, status: int, now: float) -> None:
        self._session = self._kill_at = None
        facts = {"child": self.spec.name, "status": status}
        if not self._is_wanted:
            logger.info("stopped", extra=facts)
            return
        delay = self._backoff.delay(now - self._started)
        self._start_at = now + delay
        logger.error("died, to be restarted", extra={**facts, "in_seconds": delay})

    def _watch(self, now: float) -> None:
        self._watch_at = now + _WATCH_EVERY
        try:
            is_healthy = self.spec.is_healthy()
        except Exception:  # which says nothing about the child
            logger.exception("cannot tell whether it works", extra={"child": self.spec.name})
            return
        if not is_healthy:
            logger.error("does not work, to be restarted", extra={"child": self.spec.name})
            self._terminate(now, min(_UNHEALTHY_PATIENCE, self.spec.stop_seconds))

    def _terminate(self, now: float, patience: float) -> None:
        if self._session is None:
            return
        self._kill_at = now + patience
        self._session.terminate()
