"""Threads that wait for DNS and policy hosts, in fair shares.

At most `size` jobs run at a time. One registrable domain, and one address of policy hosts, hold
a `share` of them each; whoever is over it waits. A job that takes long moves out of the way, to up
to `slow` others: it goes on, but holds nobody's place any more. So a few hosts that hang cannot
keep the rest from being looked up.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from policies.mtasts.turns import taking_turns, waiting

SLOW_AFTER = 10.0
"""Seconds after which a job is slow, and a connection counts no more for its address."""

IDLE = 60.0
"""Seconds after which a thread without work ends."""


class Busy(Exception):
    """No place at an address came free in time. Our own trouble, not the policy host's."""


class Job(ABC):
    """Something to do in a thread of the pool. Times are monotonic.

    `zone`: the registrable domain whose share it takes. `deadline`: nobody waits any longer.
    """

    def __init__(self, zone: str, deadline: float) -> None:
        self.zone = zone
        self.deadline = deadline
        self.is_cancelled = False
        self.began = 0.0
        self.place: tuple[str, float] | None = None

    @abstractmethod
    def run(self) -> None:
        """Must not raise."""


class Pool:
    """`zone_share`, `address_share`: 0 for no limit."""

    def __init__(self, *, size: int, slow: int, zone_share: int, address_share: int) -> None:
        self._size, self._most_slow = size, slow
        self._zone_share, self._address_share = zone_share, address_share
        self._lock = threading.Lock()
        self._job_or_room = threading.Condition(self._lock)
        self._address_free = threading.Condition(self._lock)
        self._here = threading.local()
        self._urgent: deque[Job] = deque()
        self._later: deque[Job] = deque()
        self._held_back: defaultdict[str, deque[Job]] = defaultdict(deque)
        self._zones: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._running: set[Job] = set()
        self._slow: set[Job] = set()
        self._threads = self._idle = 0
        self._is_closed = False

    def submit(self, job: Job, *, urgent: bool) -> None:
        """Run it as soon as there is a place; what is urgent goes first."""
        with self._lock:
            (self._urgent if urgent else self._later).append(job)
            self._wake()

    def cancel(self, job: Job) -> bool:
        """Whether it had not begun, and now never will."""
        with self._lock:
            job.is_cancelled = not job.began
            return job.is_cancelled

    def tend(self, now: float) -> None:
        """Move what has become slow out of the way. To be called every second or so."""
        with self._lock:
            for job in [*self._running]:
                if now - job.began > SLOW_AFTER:
                    self._make_slow(job)
            for job in (*self._running, *self._slow):
                if job.place and now - job.place[1] > SLOW_AFTER:
                    self._leave(job)

    def close(self) -> None:
        """No job begins any more. Those that run go on; their threads end with the process."""
        with self._lock:
            self._is_closed = True
            self._job_or_room.notify_all()

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        with self._lock:
            held_back = sum(map(len, self._held_back.values()))
            return len(self._urgent) + len(self._later) + held_back

    @contextmanager
    def at_address(self, address: str, seconds: float) -> Iterator[None]:
        """A place at this address for the job of this thread (`policies.mtasts.dial.Slot`).

        Waits as long as the job has, whatever `seconds` says: giving up sooner would look like
        a failure of the policy host. Raises Busy.
        """
        job: Job = self._here.job
        self._enter(job, address)
        try:
            yield
        finally:
            with self._lock:
                self._leave(job)

    def _enter(self, job: Job, address: str) -> None:
        if not self._address_share:
            return
        with self._lock:
            if self._addresses[address] >= self._address_share:
                if not self._make_slow(job):
                    raise Busy(address)
                with waiting():
                    self._address_free.wait_for(
                        lambda: self._addresses[address] < self._address_share,
                        max(0.0, job.deadline - time.monotonic()),
                    )
            if self._addresses[address] >= self._address_share:
                raise Busy(address)
            self._addresses[address] += 1
            job.place = (address, time.monotonic())

    def _leave(self, job: Job) -> None:
        if job.place is None:
            return
        _give_back(self._addresses, job.place[0])
        job.place = None
        self._address_free.notify_all()

    def _make_slow(self, job: Job) -> bool:
        """Whether it is out of the way."""
        if job in self._slow:
            return True
        if len(self._slow) >= self._most_slow:
            return False
        self._slow.add(job)
        self._step_aside(job)
        return True

    def _step_aside(self, job: Job) -> None:
        self._running.discard(job)
        _give_back(self._zones, job.zone)
        if queue := self._held_back.get(job.zone):
            self._urgent.appendleft(queue.popleft())
            if not queue:
                del self._held_back[job.zone]
        self._wake()

    def _wake(self) -> None:
        self._job_or_room.notify()
        waiting = len(self._urgent) + len(self._later)
        has_room = len(self._running) < self._size
        if waiting > self._idle and has_room and self._threads < self._size + self._most_slow:
            self._threads += 1
            threading.Thread(target=self._work, name="lookup", daemon=True).start()

    def _work(self) -> None:
        while job := self._take():
            self._here.job = job
            with taking_turns():
                job.run()
            with self._lock:
                if job in self._slow:
                    self._slow.discard(job)
                else:
                    self._step_aside(job)

    def _take(self) -> Job | None:
        """The next job; None where there was none for so long that the thread may end."""
        with self._lock:
            self._idle += 1
            is_over = False
            try:
                while (job := self._next()) is None:
                    if self._is_closed or is_over:
                        self._threads -= 1
                        return None
                    # Whose time is up may have been woken for a job in the same moment.
                    is_over = not self._job_or_room.wait(IDLE)
            finally:
                self._idle -= 1
            job.began = time.monotonic()
            self._running.add(job)
            self._zones[job.zone] += 1
            return job

    def _next(self) -> Job | None:
        if self._is_closed or len(self._running) >= self._size:
            return None
        for queue in (self._urgent, self._later):
            while queue:
                job = queue.popleft()
                if job.is_cancelled:
                    continue
                if self._zone_share and self._zones[job.zone] >= self._zone_share:
                    self._held_back[job.zone].append(job)
                    continue
                return job
        return None


def _give_back(places: Counter[str], name: str) -> None:
    places[name] -= 1
    if not places[name]:
        del places[name]
