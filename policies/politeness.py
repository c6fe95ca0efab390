"""Places at addresses: how many connections of ours one policy host has at a time.

One provider may serve thousands of policies from one address. A fetch that finds no place there
holds no thread: it is parked until one comes free.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HOLD = 10.0
"""Seconds for which a connection counts: a host that is slow must not keep others from theirs."""

REASON = "address-busy"
"""How a fetch ends that found no place at any address."""


class Places:
    """At most `most` connections at a time to an address; `slot` is a `dial.Slot`."""

    def __init__(
        self, most: int, *, hold: float = HOLD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._hold = hold
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: defaultdict[str, list[float]] = defaultdict(list)
        self._refused = threading.local()

    @property
    def refused(self) -> str:
        """The address that last had no place for this thread."""
        return getattr(self._refused, "address", "")

    @contextmanager
    def slot(self, address: str, seconds: float) -> Iterator[None]:
        """A place at the address, at once. Raises TimeoutError where there is none."""
        since = self._take(address)
        if since is None:
            self._refused.address = address
            raise TimeoutError(f"{self._most} connections to {address} are open")
        try:
            yield
        finally:
            self._give_back(address, since)

    def left(self, address: str) -> int:
        """How many connections to the address would find a place now."""
        with self._lock:
            return self._most - len(self._counted(address))

    def _take(self, address: str) -> float | None:
        with self._lock:
            taken = self._counted(address)
            if len(taken) >= self._most:
                return None
            since = self._clock()
            taken.append(since)
            return since

    def _give_back(self, address: str, since: float) -> None:
        with self._lock:
            taken = self._taken.get(address, [])
            if since in taken:  # else it was held for too long, and another has it
                taken.remove(since)
            if not taken:
                self._taken.pop(address, None)

    def _counted(self, address: str) -> list[float]:
        """The connections that count; those held for too long no longer do."""
        taken = self._taken[address]
        oldest = self._clock() - self._hold
        while taken and taken[0] < oldest:
            taken.pop(0)
        return taken
