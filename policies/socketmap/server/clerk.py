"""Writes down what was used, and what there is to tell on /status/."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from policies import cache, heartbeats
from policies.cache import Use
from policies.socketmap.server.background import Background
from policies.socketmap.server.lookups import Desk
from policies.socketmap.server.memory import Known, Ready
from policies.socketmap.server.status import Status

log = logging.getLogger(__name__)

KIND = "socketmap"
EVERY = 1.5
"""Seconds between writes: what kill -9 loses of uses and outcomes."""

BATCH = 500
BEAT = 10.0
REPORT = 60.0
"""Seconds between signs of life, and between log lines about forced answers."""


class Clerk(Background):
    def __init__(self, status: Status, desk: Desk) -> None:
        super().__init__("clerk", EVERY, desk.database)
        self._desk = desk
        self._status = status
        self._used = status.memory.used
        self._uses: dict[str, Use] = {}
        self._beaten = self._reported = 0.0
        self._told = status.forced()

    def step(self) -> None:
        self._collect()
        now = self._status.now()
        if now - self._reported > REPORT:
            self._reported = now
            self._report()
        self._write()
        if now - self._beaten > BEAT or self.stopped.is_set():
            heartbeats.beat(KIND, self._status.details())
            self._beaten = now

    def _collect(self) -> None:
        # The event loop goes on appending; each of these two steps is indivisible.
        used = self._used[:]
        del self._used[: len(used)]
        for ready in used:
            self._status.counts.hits += ready.hits
            ready.hits = 0
            ready.known.seen = True
        for use in _uses(used, self._desk.outside.now()):
            self._uses[use.domain] = use

    def _write(self) -> None:
        """What cannot be written is kept for the next time."""
        while self._uses:
            batch = dict(list(self._uses.items())[:BATCH])
            cache.note_uses(list(batch.values()))
            for domain in batch:
                del self._uses[domain]

    def _report(self) -> None:
        forced = self._status.forced()
        for reason, number in forced.items():
            since = number - self._told.get(reason, 0)
            if since:
                log.warning(
                    "answers were forced", extra={"reason": str(reason), "in_a_minute": since}
                )
        self._told = forced


def _uses(used: Iterable[Ready], now: datetime) -> Iterable[Use]:
    for known in {ready.known for ready in used}:
        use = _use(known, now)
        if use is not None:
            yield use


def _use(known: Known, now: datetime) -> Use | None:
    """None where there is no row to write it to."""
    held, result = known.held, known.result
    if held is None:
        return None
    if result is None:
        if not held.has_policy:
            return None
        result = held.result(known.name)
    return Use(known.name.unicode, now, result)
