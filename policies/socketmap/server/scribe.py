"""Writes what lookups fetched: what comes while one transaction is written goes with the next.

Each transaction costs a write to the disk, and more work in Python than its rows do. With one at a
time, a lookup alone is written at once, and of a hundred together each pays for little.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from django.db import DataError, IntegrityError

from policies import ledger
from policies.ledger import Entry
from policies.mtasts.turns import waiting
from policies.socketmap.server.database import Database

BATCH = 100
"""Entries in one transaction, so that none holds the database for long."""


class Scribe:
    """Many threads call `write`; one of those that wait writes for all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pen = threading.Lock()
        self._desk: deque[_Waiting] = deque()

    def write(self, entry: Entry) -> None:
        """Returns once `entry` is in the database. Raises DatabaseError where it is not."""
        mine = _Waiting(entry)
        self._desk.append(mine)
        with waiting():
            self._pen.acquire()
        try:
            if not mine.is_done:
                self._write_waiting()
        finally:
            self._pen.release()
        if mine.error is not None:
            raise mine.error

    def _write_waiting(self) -> None:
        """The oldest of those that wait; that includes whoever has the pen and is not done."""
        batch: list[_Waiting] = []
        while self._desk and len(batch) < BATCH:
            batch.append(self._desk.popleft())
        try:
            with self._database.lent():
                _write(batch)
        except Exception as error:  # noqa: BLE001 - raised in each thread that waits
            for each in batch:
                each.error = error
        for each in batch:
            each.is_done = True


class _Waiting:
    """An entry, and what became of it."""

    __slots__ = ("entry", "error", "is_done")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.is_done = False
        self.error: Exception | None = None


def _write(batch: Sequence[_Waiting]) -> None:
    try:
        ledger.write([each.entry for each in batch])
    except (DataError, IntegrityError) as error:
        if len(batch) == 1:
            batch[0].error = error
            return
        # One that the database refuses must not take the others with it.
        for each in batch:
            _write([each])
