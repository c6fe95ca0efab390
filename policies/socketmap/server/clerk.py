"""Writes down what was used, and what there is to tell on /status/."""

from __future__ import annotations

import logging
from collections import Counter

from policies import cache, exceptions, heartbeats
from policies.socketmap.server.background import Background
from policies.socketmap.server.lookups import Desk
from policies.socketmap.server.meters import Meters
from policies.socketmap.server.status import Status
from policies.socketmap.server.tally import Tally

log = logging.getLogger(__name__)

KIND = "socketmap"
EVERY = 2.0
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
        self._tally = Tally()
        self._excepted = Counter[int]()
        self._meters = Meters(status)
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
        hits = [(ready, ready.hits) for ready in used]
        for ready in used:
            ready.hits = 0
            ready.known.seen = True
        for ready, number in hits:
            if ready.exception:
                self._excepted[ready.exception] += number
        self._status.counts.hits += sum(number for _, number in hits)
        self._tally.add(hits, self._desk.outside.now())
        self._meters.tell(hits)

    def _write(self) -> None:
        """What cannot be written is kept for the next time."""
        if self._excepted:
            exceptions.note_uses(self._excepted, self._desk.outside.now())
            self._excepted.clear()
        while batch := self._tally.first(BATCH):
            cache.note_uses(batch.uses, batch.seen)
            self._tally.drop(batch)

    def _report(self) -> None:
        forced = self._status.forced()
        for reason, number in forced.items():
            since = number - self._told.get(reason, 0)
            if since:
                log.warning(
                    "answers were forced", extra={"reason": str(reason), "in_a_minute": since}
                )
        self._told = forced
