"""The threads of a refresh: they do network only, and a host that hangs holds one of them.

Rows that find no place at their policy host's address are parked, which holds no thread. Threads
are daemons: where a round ends before a host has answered, its thread saves what comes of it by
itself, and keeps no process from stopping.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from policies.mtasts.turns import taking_turns

if TYPE_CHECKING:
    from policies.politeness import Places

Turn = TypeVar("Turn")
Result = TypeVar("Result")

PARKED_AT_ONE_ADDRESS = 64
"""More of one address are given back: they must not keep the others from their turn."""


class NoPlace(Exception):
    """The turn found no place at an address, and is to be tried again when there is one."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


@dataclass(frozen=True, slots=True)
class GivenBack(Generic[Turn]):
    """A turn that was not worked: too many others wait for its address."""

    turn: Turn


class Crew(Generic[Turn, Result]):
    """Up to `most` threads that run `work` on turns.

    `late`: what a thread does with a result that comes after `leave`.
    """

    def __init__(
        self,
        work: Callable[[Turn], Result],
        most: int,
        *,
        places: Places | None = None,
        late: Callable[[Result], None],
    ) -> None:
        self._work = work
        self._most = most
        self._places = places
        self._late = late
        self._threads = 0
        self._turns: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Result | NoPlaceFor[Turn] | Broken] = queue.SimpleQueue()
        self._parked: defaultdict[str, deque[Turn]] = defaultdict(deque)
        self._left = False
        self._leaving = threading.Lock()
        self._working = 0

    @property
    def busy(self) -> int:
        """Turns taken that have not ended."""
        return self._working + self.parked

    @property
    def parked(self) -> int:
        """Turns that wait for a place at an address, and hold no thread."""
        return sum(map(len, self._parked.values()))

    @property
    def free(self) -> int:
        return self._most - self._working

    def take(self, turns: list[Turn]) -> None:
        """Have these worked."""
        self._working += len(turns)
        while self._threads < min(self._working, self._most):
            self._threads += 1
            run = contextvars.copy_context().run  # log lines belong to the round
            threading.Thread(target=run, args=(self._run,), name="refresh", daemon=True).start()
        for turn in turns:
            self._turns.put(turn)

    def results(self, wait: float) -> Iterator[Result | GivenBack[Turn]]:
        """What has ended, after waiting up to `wait` seconds for the first where some run."""
        self._wake()
        while self.busy:
            try:
                ended = self._ended.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0
            self._working -= 1
            if isinstance(ended, Broken):
                raise ended.error
            if not isinstance(ended, NoPlaceFor):
                yield ended
            elif len(self._parked[ended.address]) < PARKED_AT_ONE_ADDRESS:
                self._parked[ended.address].append(ended.turn)
            else:
                yield GivenBack(ended.turn)

    def leave(self) -> tuple[list[Result | GivenBack[Turn]], list[Turn]]:
        """End the crew: what has ended by now, and the turns that nobody will work.

        What is being worked goes to `late` when it ends.
        """
        with self._leaving:
            self._left = True
        over: list[Turn] = [turn for parked in self._parked.values() for turn in parked]
        self._parked.clear()
        ended = []
        while not self._ended.empty():
            each = self._ended.get()
            if isinstance(each, Broken):
                raise each.error
            ended.append(GivenBack(each.turn) if isinstance(each, NoPlaceFor) else each)
        while not self._turns.empty():
            turn = self._turns.get()
            if turn is not None:
                over.append(turn)
        for _thread in range(self._threads):
            self._turns.put(None)
        return ended, over

    def _wake(self) -> None:
        """Back to the threads with those whose address has a place again."""
        for address, parked in list(self._parked.items()):
            left = self._places.left(address) if self._places else len(parked)
            for _place in range(min(left, len(parked))):
                self._working += 1
                self._turns.put(parked.popleft())
            if not parked:
                del self._parked[address]

    def _run(self) -> None:
        while (turn := self._turns.get()) is not None:
            try:
                with taking_turns():
                    ended: Result | NoPlaceFor[Turn] | Broken = self._work(turn)
            except NoPlace as busy:
                ended = NoPlaceFor(turn, busy.address)
            except BaseException as error:  # noqa: BLE001 - raised where the round hears it
                ended = Broken(error)
            with self._leaving:
                if not self._left:
                    self._ended.put(ended)
                    continue
            if not isinstance(ended, (NoPlaceFor, Broken)):
                self._late(ended)


@dataclass(frozen=True, slots=True)
class NoPlaceFor(Generic[Turn]):
    """A turn that found no place at this address."""

    turn: Turn
    address: str


@dataclass(frozen=True, slots=True)
class Broken:
    """What a thread died of."""

    error: BaseException
