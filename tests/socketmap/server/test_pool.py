"""Fair shares of the threads that wait for DNS and policy hosts. No database, no network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from policies.socketmap.server.pool import SLOW_AFTER, Busy, Job, Pool
from tests.socketmap.server.running import wait_until


class Work(Job):
    """Runs until its gate opens."""

    def __init__(
        self,
        zone: str = "example.org",
        *,
        act: Callable[[], object] | None = None,
        deadline: float = 60,
    ) -> None:
        super().__init__(zone, time.monotonic() + deadline)
        self.gate, self.running, self.done = threading.Event(), threading.Event(), threading.Event()
        self.act = act
        self.outcome: object = None

    def run(self) -> None:
        self.running.set()
        try:
            self.outcome = self.act() if self.act else self.gate.wait(20)
        except Busy as busy:
            self.outcome = busy
        self.done.set()


class Works:
    """Jobs in a pool, all ended when the test is."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.all: list[Work] = []

    def submit(self, work: Work, *, urgent: bool = True) -> Work:
        self.all.append(work)
        self.pool.submit(work, urgent=urgent)
        return work

    def running(self) -> int:
        return sum(work.running.is_set() and not work.done.is_set() for work in self.all)


@pytest.fixture
def works(request: pytest.FixtureRequest) -> Iterator[Works]:
    options = {"size": 4, "slow": 4, "zone_share": 2, "address_share": 2}
    made = Works(Pool(**(options | getattr(request, "param", {}))))
    yield made
    for work in made.all:
        work.gate.set()
    made.pool.close()


def test_no_more_jobs_run_than_there_is_room_for(works: Works) -> None:
    jobs = [works.submit(Work(f"d{number}.example")) for number in range(6)]
    wait_until(lambda: works.running() == 4)
    assert works.pool.waiting == 2
    jobs[0].gate.set()
    wait_until(lambda: jobs[4].running.is_set())


def test_a_job_that_comes_as_an_idle_thread_ends_is_not_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, late = Pool(size=1, slow=0, zone_share=0, address_share=0), Work()

    def wait(_seconds: float) -> bool:
        pool._urgent.append(late)  # who submitted it saw a thread that is idle, and woke it
        return False

    monkeypatch.setattr(pool._job_or_room, "wait", wait)
    assert pool._take() is late


def test_what_is_urgent_goes_first(works: Works) -> None:
    first = [works.submit(Work(f"d{number}.example")) for number in range(4)]
    wait_until(lambda: works.running() == 4)
    later = works.submit(Work("later.example"), urgent=False)
    urgent = works.submit(Work("urgent.example"))
    first[0].gate.set()
    assert urgent.running.wait(10)
    assert not later.running.is_set()


def test_one_registrable_domain_holds_no_more_than_its_share(works: Works) -> None:
    hanging = [works.submit(Work("hanging.example")) for _ in range(10)]
    wait_until(lambda: works.running() == 2)
    other = works.submit(Work("other.example"))
    assert other.running.wait(10)
    hanging[0].gate.set()
    assert hanging[2].running.wait(10)


@pytest.mark.parametrize("works", [{"zone_share": 0}], indirect=True)
def test_without_shares_one_domain_may_hold_all(works: Works) -> None:
    for _ in range(4):
        works.submit(Work("one.example"))
    wait_until(lambda: works.running() == 4)


def test_a_slow_job_goes_on_and_holds_nobodys_place(works: Works) -> None:
    slow = [works.submit(Work(f"d{number}.example")) for number in range(4)]
    wait_until(lambda: works.running() == 4)
    waiting = works.submit(Work("waiting.example"))
    works.pool.tend(time.monotonic() + SLOW_AFTER + 1)
    assert waiting.running.wait(10)
    assert not any(work.done.is_set() for work in slow)
    slow[0].gate.set()
    assert slow[0].done.wait(10)


def test_no_more_jobs_are_slow_than_there_is_room_for(works: Works) -> None:
    jobs = [works.submit(Work(f"d{number}.example")) for number in range(12)]
    for wanted in (4, 8, 8):
        wait_until(lambda wanted=wanted: works.running() == wanted)
        works.pool.tend(time.monotonic() + SLOW_AFTER + 1)
    assert sum(job.running.is_set() for job in jobs) == 8


def test_a_job_that_has_not_begun_can_be_cancelled(works: Works) -> None:
    first = [works.submit(Work(f"d{number}.example")) for number in range(4)]
    wait_until(lambda: works.running() == 4)
    cancelled, kept = works.submit(Work("a.example")), works.submit(Work("b.example"))
    assert works.pool.cancel(cancelled)
    assert not works.pool.cancel(first[0])
    first[0].gate.set()
    assert kept.running.wait(10)
    assert not cancelled.running.is_set()


def at_address(works: Works, address: str, gate: threading.Event) -> Callable[[], str]:
    """What a job does that connects to this address until the gate opens."""

    def act() -> str:
        with works.pool.at_address(address, 0.0):
            gate.wait(20)
        return "connected"

    return act


def test_those_who_wait_for_one_address_keep_nobody_from_another(works: Works) -> None:
    gate, other_gate = threading.Event(), threading.Event()
    other_gate.set()
    for number in range(6):
        works.submit(Work(f"d{number}.example", act=at_address(works, "192.0.2.1", gate)))
    other = works.submit(Work("other.example", act=at_address(works, "192.0.2.2", other_gate)))
    assert other.done.wait(10)
    gate.set()
    for work in works.all:
        assert work.done.wait(10)
        assert work.outcome == "connected"


def test_who_finds_no_place_in_time_is_told_that_it_is_our_trouble(works: Works) -> None:
    gate = threading.Event()
    holding = [
        works.submit(Work(f"d{number}.example", act=at_address(works, "192.0.2.1", gate)))
        for number in range(2)
    ]
    for work in holding:
        assert work.running.wait(10)
    late = works.submit(
        Work("late.example", act=at_address(works, "192.0.2.1", gate), deadline=0.1)
    )
    assert late.done.wait(10)
    assert isinstance(late.outcome, Busy)
    gate.set()


def test_a_connection_that_lasts_gives_its_address_back(works: Works) -> None:
    gate = threading.Event()
    holding = [
        works.submit(Work(f"d{number}.example", act=at_address(works, "192.0.2.1", gate)))
        for number in range(2)
    ]
    for work in holding:
        assert work.running.wait(10)
    open_gate = threading.Event()
    open_gate.set()
    waiting = works.submit(Work("w.example", act=at_address(works, "192.0.2.1", open_gate)))
    assert waiting.running.wait(10)
    works.pool.tend(time.monotonic() + SLOW_AFTER + 1)
    assert waiting.done.wait(10)
    assert waiting.outcome == "connected"
    gate.set()
