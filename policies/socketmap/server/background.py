"""Threads beside the event loop, each with a database connection of its own."""

from __future__ import annotations

import logging
import threading

from django.db import connections

from policies.socketmap.server.database import ERRORS, Database

log = logging.getLogger(__name__)


class Background(threading.Thread):
    """Repeats `step` every `interval` seconds until it is stopped, and once more then."""

    def __init__(self, name: str, interval: float, database: Database) -> None:
        super().__init__(name=name, daemon=True)
        self.stopped = threading.Event()
        self._interval = interval
        self._database = database

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                self._try_step()
                self.stopped.wait(self._interval)
            self._try_step()
        finally:
            connections.close_all()

    def step(self) -> None:
        raise NotImplementedError

    def _try_step(self) -> None:
        try:
            self.step()
        except ERRORS as error:
            self._database.note(error)
            connections.close_all()
        except Exception:
            log.exception("broke, and goes on", extra={"thread": self.name})
