"""What the server remembers: domains, and the replies that can be given at once.

`ready` maps a whole request, as it comes from the network, to its reply: a hit is one look into
a dict. Only what may be answered without another thought stands there; `sweep` takes out what
may no longer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from policies.mtasts import Domain
from policies.socketmap.netstring import encode
from policies.socketmap.reply import NOT_FOUND

if TYPE_CHECKING:
    from policies.socketmap.server.flight import Flight
    from policies.socketmap.server.held import Held
    from policies.tlsrpt.result import Result

SPELLINGS = 8
"""Requests kept per domain: two maps, a trailing dot, upper case, a port."""

STEP = 2000
"""Domains whose replies are taken out at a time, in some milliseconds."""


class Ready:
    """The reply to one request.

    `hits`: how often it was given since the last count. `held`, `result`, `is_resolvers`: how
    those lookups ended, as in `Known`, which may have changed since. `exception`: the id of the
    one under which it is given, 0 for none.
    """

    __slots__ = ("exception", "held", "hits", "is_resolvers", "known", "reply", "result")

    def __init__(self, known: Known, reply: bytes, exception: int = 0) -> None:
        self.known = known
        self.reply = reply
        self.exception = exception
        self.hits = 0
        self.held = known.held
        self.result = known.result
        self.is_resolvers = known.is_resolvers


class Known:
    """What is known of one domain. Times are monotonic, but those of `held`.

    `held`: its row; None where there is none. `other`: the reply where `held` has no policy in
    force. `override`: the reply in place of a policy, where DANE has precedence; `is_checked`:
    whether DANE was asked. `result`: of the last lookup, None where `held` tells it;
    `is_resolvers`: it failed for our resolver's sake.
    `trusted_until`: until when no look at DNS is needed. `is_news`: others changed the row, so
    the next answer comes from it without waiting for DNS. `failing_since`: since then DNS fails.
    """

    __slots__ = (
        "failing_since", "flight", "held", "is_checked", "is_news", "is_resolvers", "name",
        "other", "override", "result", "seen", "spellings", "trusted_until",
    )  # fmt: skip

    def __init__(self, name: Domain) -> None:
        self.name = name
        self.held: Held | None = None
        self.other = NOT_FOUND
        self.override: bytes | None = None
        self.result: Result | None = None
        self.is_resolvers = False
        self.trusted_until = 0.0
        self.is_news = False
        self.is_checked = False
        self.failing_since: float | None = None
        self.flight: Flight | None = None
        self.spellings: tuple[bytes, ...] = ()
        self.seen = False

    def has_valid_policy(self, wall: float) -> bool:
        """Whether a policy is in force at this POSIX time."""
        return self.held is not None and self.held.has_policy and self.held.is_valid(wall)

    def payload(self, wall: float, *, tlsrpt: bool) -> bytes:
        """What Postfix gets at this POSIX time."""
        if self.held is None or not self.has_valid_policy(wall):
            return self.other
        reply = self.held.reply(self.name, tlsrpt=tlsrpt)
        return self.override if self.override and reply.startswith(b"OK ") else reply


class _Store:
    """Domains, at most `size`. What was not asked for since the last time round goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[str, Known] = OrderedDict()
        self.get = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_full(self) -> bool:
        return len(self._known) >= self._size

    def add(self, known: Known) -> list[Known]:
        """What had to go for it."""
        gone = []
        # Twice round at most: what is being looked up stays, even over the limit.
        for _ in range(2 * len(self._known)):
            if not self.is_full:
                break
            name, oldest = self._known.popitem(last=False)
            if oldest.seen or oldest.flight:
                oldest.seen = False
                self._known[name] = oldest
            else:
                gone.append(oldest)
        self._known[known.name.ascii] = known
        return gone

    def add_oldest(self, known: Known) -> None:
        self._known[known.name.ascii] = known
        self._known.move_to_end(known.name.ascii, last=False)

    def drop(self, known: Known) -> None:
        self._known.pop(known.name.ascii, None)

    def __iter__(self) -> Iterator[Known]:
        return iter(list(self._known.values()))


class Memory:
    """Bounded: `size` domains that have rows, and `others` that have none."""

    def __init__(self, size: int, others: int) -> None:
        self.ready: dict[bytes, Ready] = {}
        self.used: list[Ready] = []
        self.is_complete = False
        self._with_rows = _Store(size)
        self._others = _Store(others)
        self._lapses: dict[int, list[Known]] = {}
        self._swept = 0

    @property
    def policies(self) -> int:
        """How many domains with rows are in memory."""
        return len(self._with_rows)

    @property
    def others(self) -> int:
        """How many names without a row are."""
        return len(self._others)

    @property
    def is_full(self) -> bool:
        return self._with_rows.is_full

    def get(self, name: str) -> Known | None:
        """What is known of this A-label name."""
        return self._with_rows.get(name) or self._others.get(name)

    def find(self, name: Domain) -> Known:
        """What is known of it; a new entry where nothing is."""
        known = self.get(name.ascii)
        if known is None:
            known = Known(name)
            self._forget(self._others.add(known))
        known.seen = True
        return known

    def load(self, name: Domain, held: Held) -> None:
        """A row that was used before all those in memory. What is known already stays."""
        if self._with_rows.is_full or self.get(name.ascii):
            return
        known = Known(name)
        known.held = held
        self._with_rows.add_oldest(known)

    def keep(self, known: Known, held: Held | None) -> None:
        """`known` has this row from now on."""
        had = known.held is not None
        known.held = held
        if had == (held is not None):
            return
        here, there = self._others, self._with_rows
        if had:
            here, there = there, here
        here.drop(known)
        gone = there.add(known)
        if gone and there is self._with_rows:
            self.is_complete = False
        self._forget(gone)

    def forget_all(self) -> None:
        """Nothing that is in memory can be relied upon."""
        self.is_complete = False
        for known in (*self._with_rows, *self._others):
            self.distrust(known)
            self._with_rows.drop(known)
            self._others.drop(known)

    def trust(self, known: Known, until: float) -> None:
        """Until then replies may be given at once."""
        known.trusted_until = until
        # Rounded down, for the sweep may be late by its interval.
        second = max(int(until - 0.5), self._swept)
        self._lapses.setdefault(second, []).append(known)

    def distrust(self, known: Known) -> None:
        """The next request has to be thought about."""
        known.trusted_until = 0.0
        self.unready(known)

    def unready(self, known: Known) -> None:
        """What is known stays trusted, but the replies have to be made anew."""
        for frame in known.spellings:
            del self.ready[frame]
        known.spellings = ()

    def unready_all(self) -> Iterator[None]:
        """The same for all that is known; some at each step, for a million take a second."""
        known = [ready.known for ready in self.ready.values()]
        for start in range(0, len(known), STEP):
            for each in known[start : start + STEP]:
                self.unready(each)
            yield

    def make_ready(self, known: Known, request: bytes, payload: bytes, exception: int = 0) -> Ready:
        """From now on `request` gets this reply at once, until the trust ends."""
        frame = encode(request)
        if frame not in self.ready:
            if len(known.spellings) >= SPELLINGS:
                del self.ready[known.spellings[0]]
                known.spellings = known.spellings[1:]
            known.spellings = (*known.spellings, frame)
        ready = self.ready[frame] = Ready(known, encode(payload), exception)
        return ready

    def sweep(self, now: float) -> None:
        """Take out the replies whose trust has ended."""
        second = int(now)
        if not self._swept:
            self._swept = min(self._lapses, default=second)
        while self._swept <= second:
            for known in self._lapses.pop(self._swept, ()):
                if known.trusted_until < now + 1.5:  # and was not renewed meanwhile
                    self.distrust(known)
            self._swept += 1

    def _forget(self, gone: Iterable[Known]) -> None:
        for known in gone:
            self.distrust(known)
