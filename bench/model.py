"""`python -m bench.model`: the refresh beyond this machine, by a model of it; makes docs/images.

A sample of policies stands for all: each is planned by the product's own functions
(`policies.rows`), and what a tick may do in a minute is scaled down as the sample is. Everything
follows from the seed. What one fetch costs is measured (`python -m bench.refresh`), not modelled.
"""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = 300.0
"""Five ticks are modelled as one."""

TICK = 60.0
HOUR = 3600.0
DAY = 86400.0

MAX_AGES = ((86_400, 0.25), (604_800, 0.55), (1_209_600, 0.1), (2_592_000, 0.1))
"""What domains publish, and the share that does: a day, a week, two, a month."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node does. `cpu`: seconds of processor for a fetch; `hold`: seconds that a healthy
    host takes, `hanging` that share of them takes `timeout` instead. `rows`: written for a fetch.
    """

    rate: int = 150
    threads: int = 128
    per_address: int = 8
    cpu: float = 0.0037
    hold: float = 0.1
    hanging: float = 0.03
    timeout: float = 60.0
    rows: float = 2.2

    @property
    def capacity(self) -> float:
        """Fetches a second while a tick takes on work: what is least of all that bounds it."""
        mean = (1 - self.hanging) * self.hold + self.hanging * self.timeout
        return min(self.rate, 1 / self.cpu, self.threads / mean)

    @property
    def at_one_address(self) -> float:
        """Fetches a second from one policy host's address; 0: as many as there are."""
        return self.per_address / self.hold


@dataclass(frozen=True, slots=True)
class Scenario:
    """`policies` in use, of which `biggest` (a share) are at one provider's address.

    Switched off for `off` seconds from `off_at` on; `days` are modelled. `imported`: all are there
    without a plan at the start, else each has the plan of one that was fetched before.
    """

    policies: int
    machine: Machine = Machine()
    biggest: float = 0.1
    off: float = 0.0
    off_at: float = 6 * HOUR
    days: float = 3.0
    imported: bool = False
    failing: float = 0.01
    sample: int = 4_000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """At `at` seconds: policies fetched in this step, overdue by ten minutes, and ended."""

    at: float
    fetched: float
    overdue: float
    expired: float

    @property
    def rate(self) -> float:
        """Fetches a second."""
        return self.fetched / STEP


@dataclass(slots=True)
class _Row:
    max_age: int
    due: float
    end: float
    is_at_biggest: bool
    failures: int = 0


@dataclass(slots=True)
class _World:
    scenario: Scenario
    rows: list[_Row]
    waiting: list[tuple[float, int]] = field(default_factory=list)
    """Due later, by when."""
    backlog: set[int] = field(default_factory=set)
    """Due now."""


def run(scenario: Scenario) -> list[Step]:
    """Each step of it. The same for the same scenario, to the last digit."""
    with _seeded(scenario.seed):
        world = _World(scenario, [_row(scenario, number) for number in range(scenario.sample)])
        world.waiting = [(row.due, number) for number, row in enumerate(world.rows)]
        heapq.heapify(world.waiting)
        return list(_steps(world))


def caught_up(steps: list[Step], after: float) -> float | None:
    """Seconds from `after` until nothing is overdue for the first time; None: never."""
    return next((step.at - after for step in steps if step.at > after and not step.overdue), None)


def _steps(world: _World) -> Iterator[Step]:
    from policies.claiming import BACKLOG
    from policies.refresh import CLAIMING

    scenario, machine = world.scenario, world.scenario.machine
    scale = scenario.policies / scenario.sample
    work = STEP / TICK * CLAIMING.total_seconds() / scale
    each_step = machine.capacity * work
    at_biggest = machine.at_one_address * work or each_step
    budget = place = 0.0
    at = 0.0
    while at < scenario.days * DAY:
        while world.waiting and world.waiting[0][0] <= at:
            world.backlog.add(heapq.heappop(world.waiting)[1])
        fetched = 0
        if not scenario.off_at <= at < scenario.off_at + scenario.off:
            # What is left of a part of a policy goes to the next step; a whole one does not.
            budget = budget % 1 + each_step
            place = place % 1 + at_biggest
            fetched = _work(world, at, int(budget), int(place))
            budget -= fetched
        then = at - BACKLOG.total_seconds()
        overdue = sum(world.rows[number].due < then for number in world.backlog)
        expired = sum(world.rows[number].end < at for number in world.backlog)
        yield Step(at, fetched * scale, overdue * scale, expired * scale)
        at += STEP


def _work(world: _World, at: float, budget: int, place: int) -> int:
    """Fetch what is due, in the order in which `policies.claiming` takes it on."""
    from policies.claiming import BACKLOG, CROWDED

    rows = world.rows
    is_backlog = any(at - rows[n].due > BACKLOG.total_seconds() for n in world.backlog)

    def order(number: int) -> tuple[bool, float, int]:
        row = rows[number]
        if not is_backlog:
            return (False, row.due, number)
        return (row.end <= at, row.end if row.end > at else -row.end, number)

    fetched = 0
    for number in heapq.nsmallest(budget, world.backlog, key=order):
        row = rows[number]
        world.backlog.remove(number)
        if row.is_at_biggest:
            if not place:
                row.due = at + CROWDED.total_seconds() * random.uniform(1, 3)
                heapq.heappush(world.waiting, (row.due, number))
                continue
            place -= 1
        fetched += 1
        _fetch(row, at, world.scenario.failing)
        heapq.heappush(world.waiting, (row.due, number))
    return fetched


def _fetch(row: _Row, at: float, failing: float) -> None:
    """Plan the row's next time as the product does."""
    from policies.rows import refresh_due, retry_due
    from policies.turns import LATE

    now = START + timedelta(seconds=at)
    if random.random() < failing:
        row.failures += 1
        due = retry_due(row.failures, START + timedelta(seconds=row.end), now)
    else:
        row.failures = 0
        row.end = at + row.max_age
        due = refresh_due(row.max_age, now, loosely=at - row.due > LATE.total_seconds())
    row.due = (due - START).total_seconds()


def _row(scenario: Scenario, number: int) -> _Row:
    ages, shares = zip(*MAX_AGES, strict=True)
    max_age = random.choices(ages, shares)[0]
    is_at_biggest = random.random() < scenario.biggest
    if scenario.imported:
        return _Row(max_age, -2 * HOUR, max_age * random.uniform(0.2, 1), is_at_biggest)
    row = _Row(max_age, 0.0, 0.0, is_at_biggest)
    _fetch(row, 0.0, 0.0)
    ahead = row.due * random.random()  # somewhere on the way to it
    return replace(row, due=ahead, end=row.end - (row.due - ahead))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The product's functions draw from `random` itself."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mtastsweb.settings")
    import django

    django.setup()
    from bench.model_report import write

    write()


if __name__ == "__main__":
    main()
