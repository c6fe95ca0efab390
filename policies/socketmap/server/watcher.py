"""Keeps memory as the database is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from policies import exceptions
from policies.changes import EVERYTHING, EXCEPTIONS, Watch
from policies.socketmap.server import loader
from policies.socketmap.server.answers import Answers
from policies.socketmap.server.background import Background
from policies.socketmap.server.loader import Row
from policies.socketmap.server.lookups import Desk

POLL = 0.3
"""Seconds between looks for changes."""

BREATH = 0.005
"""Seconds after each batch in which the event loop has the processor for itself."""


class Watcher(Background):
    """Loads the rows, last use first, and hands every change since to the event loop.

    It also finds out when the database is back.
    """

    def __init__(
        self,
        answers: Answers,
        desk: Desk,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__("watcher", POLL, desk.database)
        self._answers = answers
        self._memory = answers.memory
        self._loop = loop
        self._watch = Watch(desk.outside.now)
        self._now = desk.outside.now
        self._dane = desk.dane
        self._listed: frozenset[str] = self._dane.listed() if self._dane else frozenset()
        self._is_loaded = False
        self._has_exceptions = False

    def step(self) -> None:
        self._follow_list()
        self._follow()
        self._database.note(None)
        if not self._is_loaded:
            self._load()

    def _follow(self) -> None:
        changed = self._watch.poll()
        if changed & {EVERYTHING, EXCEPTIONS}:
            self._has_exceptions = False
        if not self._has_exceptions:
            self._to_loop(self._answers.excepted, exceptions.current(self._now()))
            self._has_exceptions = True
        if EVERYTHING in changed:
            self._is_loaded = False
            self._to_loop(self._memory.forget_all)
            return
        for rows in loader.of_domains(filter(self._matters, changed), self._now()):
            self._to_loop(self._change, rows)
            self.stopped.wait(BREATH)

    def _follow_list(self) -> None:
        """What an operator has put on the list of DANE's domains, or taken off it."""
        listed = self._dane.listed() if self._dane else frozenset()
        for name in listed ^ self._listed:
            self._to_loop(self._answers.listed, name)
        self._listed = listed

    def _matters(self, domain: str) -> bool:
        """Whether it has to be in memory, or what is there has to be as the row is now."""
        if self._memory.is_complete or not self._is_loaded:
            return True
        name = loader.parsed(domain)
        return name is not None and self._memory.get(name.ascii) is not None

    def _load(self) -> None:
        now = self._now()
        self._is_loaded = True
        fits = self._take(loader.by_use(now))
        # Whoever is used while this reads moves to the front, and was not seen there.
        if fits and self._take(loader.left_out(now, self._memory.get)):
            self._to_loop(self._be_complete)

    def _take(self, batches: Iterable[list[Row]]) -> bool:
        """Whether all of it found room, and nothing came between."""
        for rows in batches:
            self._to_loop(self._take_in, rows)
            self.stopped.wait(BREATH)
            self._follow()
            if self.stopped.is_set() or self._memory.is_full or not self._is_loaded:
                return False
        return True

    def _take_in(self, rows: list[Row]) -> None:
        for row in rows:
            if row.held is not None:
                self._memory.load(row.name, row.held)

    def _change(self, rows: list[Row]) -> None:
        for row in rows:
            known = self._memory.get(row.name.ascii)
            if known is None and row.held is not None:
                known = self._memory.find(row.name)
            if known is not None:
                self._answers.changed(known, row.held)

    def _be_complete(self) -> None:
        self._memory.is_complete = not self._memory.is_full

    def _to_loop(self, function: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)
