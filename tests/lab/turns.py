"""One thing after the other."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Hands out its items in order, to any number of threads; the last one stays."""

    def __init__(self, *items: T) -> None:
        self._left = list(items)
        self._lock = threading.Lock()

    def next(self) -> T:
        with self._lock:
            return self._left.pop(0) if len(self._left) > 1 else self._left[0]
