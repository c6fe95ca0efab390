"""How long to wait before a child is started again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """`first` seconds, then twice as long each time, up to `most`.

    A child that stayed up for `steady` seconds begins anew at `first`.
    """

    first: float = 1.0
    most: float = 60.0
    steady: float = 60.0
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._next = self.first

    def delay(self, stayed_up: float) -> float:
        """Seconds to wait now, after a run of `stayed_up` seconds."""
        if stayed_up >= self.steady:
            self._next = self.first
        delay = self._next
        self._next = min(2 * delay, self.most)
        return delay
