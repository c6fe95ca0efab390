"""Few connections for many threads, and whether the database answers at all."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from policies.mtasts.turns import waiting

log = logging.getLogger(__name__)

ERRORS = (DatabaseError, InterfaceError)
OBSOLETE = 60.0
"""Seconds after which a connection is opened anew, so that a replaced database is noticed."""

_ALIAS = "default"


class Database:
    """Lends connections to threads that need one for moments, between waits for the network.

    Each of some hundred threads would else keep one of its own, which no PostgreSQL has to give.
    """

    def __init__(self, size: int) -> None:
        self._free: queue.LifoQueue[_Lent | None] = queue.LifoQueue()
        for _ in range(size):
            self._free.put(None)  # not opened yet
        self._here = threading.local()
        self._away = threading.Event()
        self._losses = 0

    @property
    def is_away(self) -> bool:
        return self._away.is_set()

    def note(self, error: Exception | None) -> None:
        """What the last attempt came to; logged when it is not as before."""
        if error is None:
            if self._away.is_set():
                self._away.clear()
                log.warning("the database answers again")
        elif not self._away.is_set():
            self._losses += 1
            self._away.set()
            log.error("the database does not answer", extra={"error": str(error)})

    @contextmanager
    def lent(self) -> Iterator[None]:
        """This thread has a connection inside the block."""
        self.take()
        try:
            yield
        finally:
            self.give()

    def take(self) -> None:
        """Have a connection from now on; waits while all are in use."""
        with waiting():
            lent = self._free.get()
        try:
            if lent is None:
                wrapper = connections.create_connection(_ALIAS)
                wrapper.inc_thread_sharing()  # never two at a time
                lent = _Lent(wrapper)
            lent.survive(self._losses)
        except BaseException:
            self._free.put(lent)  # else there would be one less for ever
            raise
        connections[_ALIAS] = lent.wrapper
        self._here.lent = lent

    def give(self) -> None:
        """Do without from now on; nothing where this thread has none."""
        lent: _Lent | None = getattr(self._here, "lent", None)
        if lent is None:
            return
        self._here.lent = None
        del connections[_ALIAS]
        try:
            lent.tidy(time.monotonic())
        finally:
            self._free.put(lent)

    def close(self) -> None:
        """Close what is not lent at the moment."""
        while not self._free.empty():
            lent = self._free.get()
            if lent is not None:
                lent.wrapper.close()


class _Lent:
    """A connection and since when it is open."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self.wrapper = wrapper
        self._opened = time.monotonic()
        self._losses = 0

    def survive(self, losses: int) -> None:
        """Open it anew where the database was lost since it was: it can be of no use."""
        if losses != self._losses:
            self.wrapper.close()
            self._losses = losses

    def tidy(self, now: float) -> None:
        """Close it where the next one had better open it anew."""
        if self.wrapper.errors_occurred or now - self._opened > OBSOLETE:
            self.wrapper.close()
            self.wrapper.errors_occurred = False
            self._opened = now
