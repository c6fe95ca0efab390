"""A gate that holds requests until a test lets them pass."""

from __future__ import annotations

import threading
from types import TracebackType


class Gate:
    """Closed at first. As a context manager it opens on leaving; so does the lab when it ends."""

    def __init__(self) -> None:
        self._open = False
        self._arrived = 0
        self._changed = threading.Condition()

    def open(self) -> None:
        """Lets everything pass, now and later."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def pass_through(self) -> None:
        """Counts the caller as arrived and returns once the gate is open."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open)

    @property
    def arrived(self) -> int:
        """How many have come to the gate so far."""
        with self._changed:
            return self._arrived

    def wait_for_arrivals(self, count: int = 1, timeout: float = 10) -> None:
        """Returns once `count` have come to the gate.

        Raises TimeoutError after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived >= count, timeout):
                raise TimeoutError(f"{self._arrived} of {count} came to the gate in {timeout} s")

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.open()
