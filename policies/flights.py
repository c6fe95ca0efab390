"""One at a time per key: those who ask meanwhile wait for the same answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Runs at most one function per key at a time, in whichever thread asked first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Future[T]] = {}

    def join(self, key: str, function: Callable[[], T]) -> T:
        """What `function` returns or raises, or what the one that is under way does."""
        flight, first = self._board(key)
        return self._fly(key, flight, function) if first else flight.result()

    def after(self, key: str, function: Callable[[], T]) -> T:
        """What `function` returns or raises, run once none is under way any more."""
        while True:
            flight, first = self._board(key)
            if first:
                return self._fly(key, flight, function)
            flight.exception()  # its end matters here, not how it ended

    def _board(self, key: str) -> tuple[Future[T], bool]:
        with self._lock:
            flight = self._open.get(key)
            if flight is not None:
                return flight, False
            flight = self._open[key] = Future()
            return flight, True

    def _fly(self, key: str, flight: Future[T], function: Callable[[], T]) -> T:
        try:
            value = function()
        except BaseException as error:
            self._land(key)
            flight.set_exception(error)
            raise
        self._land(key)
        flight.set_result(value)
        return value

    def _land(self, key: str) -> None:
        with self._lock:
            del self._open[key]
