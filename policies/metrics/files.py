"""The files in which the processes of one machine count together.

prometheus-client lets each process write a file of its own, mapped into memory, and adds them up
when somebody asks. Here is what it leaves open: which process is dead, what becomes of its file,
and that a full disk kills nobody.

A process is known by a random name, not by its number: numbers come again, and two containers
that share a data directory have the same ones. It holds a lock while it lives. What a dead one has
counted is added to one file of the dead, so that counters never go back and files do not pile up;
its gauges go.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

log = logging.getLogger(__name__)

THE_DEAD = "gone"
_COUNTED = ("counter", "histogram")
_GAUGES = "gauge_livesum"
_LOCK = "lock"
_ALIVE = ".alive"

SIZES = {"counter": 2**18, "histogram": 2**20, _GAUGES: 2**16}
"""Octets, set apart on the disk at once: where a mapped page finds no room, the process is
killed (SIGBUS)."""


class Files:
    """The directory. Raises OSError where it cannot be used."""

    def __init__(self, directory: Path) -> None:
        for path in (directory.parent, directory):
            path.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory

    def enter(self) -> str:
        """A name for this process, and files for it. The lock ends with the process."""
        name = uuid.uuid4().hex
        with self._locked():
            self._bury()
            descriptor = os.open(self._alive(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                for kind in SIZES:
                    self._set_apart(kind, name)
            except OSError:
                self._remove(name)
                os.close(descriptor)
                raise
        return name

    def collected(self) -> list[Metric]:
        """What all have counted, and the gauges of those that live."""
        with self._locked():
            self._bury()
            return list(MultiProcessCollector(None, str(self._directory)).collect())

    def _bury(self) -> None:
        """Add what the dead have counted to the file of the dead, and remove theirs."""
        for alive in self._directory.glob(f"*{_ALIVE}"):
            if _is_held(alive):
                continue
            for kind in _COUNTED:
                self._add(kind, alive.stem)
            self._remove(alive.stem)

    def _add(self, kind: str, name: str) -> None:
        source = self._file(kind, name)
        if not source.exists():
            return
        try:
            counted = list(MmapedDict.read_all_values_from_file(str(source)))
        except (RuntimeError, ValueError, struct.error) as error:  # killed while it wrote
            log.warning("counts of a dead process are lost", extra={"error": str(error)})
            return
        self._set_apart(kind, THE_DEAD)
        total = MmapedDict(str(self._file(kind, THE_DEAD)))
        for key, value, _time, _place in counted:
            total.write_value(key, total.read_value(key)[0] + value, 0.0)
        total.close()

    def _remove(self, name: str) -> None:
        for kind in SIZES:
            self._file(kind, name).unlink(missing_ok=True)
        self._alive(name).unlink()

    def _set_apart(self, kind: str, name: str) -> None:
        descriptor = os.open(self._file(kind, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SIZES[kind])
        finally:
            os.close(descriptor)

    def _file(self, kind: str, name: str) -> Path:
        return self._directory / f"{kind}_{name}.db"

    def _alive(self, name: str) -> Path:
        return self._directory / f"{name}{_ALIVE}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else enters, buries or collects meanwhile. Counting needs no lock."""
        with (self._directory / _LOCK).open("a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_held(alive: Path) -> bool:
    with alive.open("a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
