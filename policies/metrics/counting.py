"""Counting: one function for each kind of event."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from prometheus_client import Metric, values

from policies.metrics.families import Families
from policies.metrics.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")


class _Here:
    """This process: its kind, its metrics, and the files it shares them in, if it does."""

    def __init__(self) -> None:
        self.kind = "command"
        self.files: Files | None = None
        self._families: Families | None = None
        self._lock = threading.Lock()

    @property
    def families(self) -> Families:
        """Made when the first event is counted, or the library would not know where to."""
        with self._lock:
            if self._families is None:
                self._families = Families()
            return self._families

    def share(self, kind: str, directory: Path) -> None:
        self.kind = kind
        files = Files(directory)
        names: dict[int, str] = {}

        def name() -> str:
            """Asked before each count: a fork is another process."""
            pid = os.getpid()
            if pid not in names:
                names.clear()
                names[pid] = files.enter()
            return names[pid]

        values.ValueClass = values.MultiProcessValue(name)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
        self.files = files
        with self._lock:
            self._families = None


_here = _Here()


def share(kind: str, data_dir: Path) -> None:
    """From now on this process and those that it forks count in files, as a `kind` ("web").

    To be called before anything is counted. Where the directory cannot be used, each counts for
    itself, which is no reason not to start.
    """
    try:
        _here.share(kind, data_dir / "run" / "metrics")
    except OSError as error:
        log.warning("metrics are not shared", extra={"error": str(error)})


def collected(data_dir: Path) -> list[Metric]:
    """All that the processes of this machine have counted. Raises OSError."""
    if _here.files is not None:
        return _here.files.collected()
    directory = data_dir / "run" / "metrics"
    shared = Files(directory).collected() if directory.is_dir() else []
    told = {metric.name for metric in shared}
    own = _here.families.registry.collect()
    return [*shared, *(metric for metric in own if metric.name not in told)]


def _harmless(count: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Has nothing fail because it cannot be counted: on a full disk, a fork finds no file."""

    @wraps(count)
    def counted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            count(*args, **kwargs)
        except OSError as error:
            log.warning("not counted", extra={"error": str(error)})

    return counted


@_harmless
def fetched(outcome: str, seconds: float) -> None:
    """A policy fetch has ended: "fetched", or in a result type of RFC 8460."""
    _here.families.fetches.labels(_here.kind, outcome).observe(seconds)


@_harmless
def looked(outcome: str, seconds: float) -> None:
    """A lookup of a TXT record has ended: "record", "no-record", "bad-record" or "dns-error"."""
    _here.families.looks.labels(_here.kind, outcome).observe(seconds)


@_harmless
def refreshed(outcome: str, number: int = 1) -> None:
    """The refresh has worked so many policies, with this outcome."""
    _here.families.refreshed.labels(outcome).inc(number)


@_harmless
def requested(view: str, status: int, seconds: float) -> None:
    """The web has answered a request."""
    _here.families.pages.labels(view, f"{status // 100}xx").observe(seconds)


@contextmanager
def task(name: str) -> Iterator[None]:
    """A task of the queue runs inside the block."""
    began = time.monotonic()
    outcome = "broke"
    try:
        yield
        outcome = "done"
    finally:
        _task_ended(name, outcome, time.monotonic() - began)


@_harmless
def _task_ended(name: str, outcome: str, seconds: float) -> None:
    _here.families.tasks.labels(name, outcome).observe(seconds)


class _Socketmap:
    """What the socketmap's clerk tells every two seconds."""

    @_harmless
    def answered(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """`counts`: by family (its attribute's name) and label, since the last time."""
        for family, by_label in counts.items():
            counter = getattr(_here.families, family)
            for label, number in by_label.items():
                counter.labels(label).inc(number)

    @_harmless
    def refused(self, number: int) -> None:
        """So many connections found no room."""
        _here.families.refused.inc(number)

    @_harmless
    def waited(self, seconds: list[float]) -> None:
        """Requests that were not answered from memory have waited so long."""
        for each in seconds:
            _here.families.waits.observe(each)

    @_harmless
    def is_now(self, *, connections: int, waiting: int, policies: int, is_away: bool) -> None:
        """How the server is."""
        families = _here.families
        families.connections.set(connections)
        families.waiting.set(waiting)
        families.held.set(policies)
        families.away.set(is_away)


socketmap = _Socketmap()
