"""A lookup under way, and who waits for it."""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from policies.socketmap.server.held import Held
    from policies.socketmap.server.lookups import Lookup
    from policies.socketmap.server.memory import Known

Give = Callable[[bytes], None]
"""Takes the whole reply, with its netstring."""


class Asker(NamedTuple):
    """One request that waits. `since`: by the event loop's clock."""

    request: bytes
    tlsrpt: bool
    give: Give
    since: float


class Flight:
    """One domain's lookup.

    `is_behind`: requests are answered from the policy in memory meanwhile. `late`: the reply once
    the deadline has passed. `news`: the row as others wrote it meanwhile, None within where it is
    gone.
    """

    __slots__ = ("askers", "is_behind", "known", "late", "lookup", "news", "timers")

    def __init__(self, known: Known, lookup: Lookup) -> None:
        self.known = known
        self.lookup = lookup
        self.askers: list[Asker] = []
        self.timers: list[TimerHandle] = []
        self.is_behind = False
        self.late: bytes | None = None
        self.news: tuple[Held | None] | None = None

    def end(self) -> None:
        """No timer runs any more, and the domain may be looked up anew."""
        for timer in self.timers:
            timer.cancel()
        self.known.flight = None
