"""What is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.alone import Cost, alone_cost
from bench.load import Load, ask
from bench.names import NEVER_SEEN, cached_names, new_names
from bench.processes import Server, free_port, lab, server
from bench.product import product

CACHED = 1000
"""Domains in memory while hits are measured."""

ROUNDS = 5
"""How often each is measured. The best round counts, of ours and of the bare server's alike: other
work on the machine can only make one worse."""

SECONDS = 3.0
"""For each round: long enough for uses to be written in it, which they are every two seconds."""

ASKING = 64
"""Connections, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Answers from memory, per second, and latencies in microseconds.

    `share`: of `bare_rate`. `bare_p99`: the bare server's.
    """

    connections: int
    map_name: str
    rate: float
    bare_rate: float
    share: float
    p50: float
    p99: float
    bare_p99: float


@dataclass(frozen=True, slots=True)
class Misses:
    """Names never seen. `delay`: seconds that policy hosts take. `cpu`: milliseconds for each.

    `alone_rate`, `alone_cpu`: the same of requests and dnspython alone (`bench.alone`).
    """

    delay: float
    rate: float
    cpu: float
    alone_rate: float
    alone_cpu: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """`loaded`: MiB with so many policies in memory, `asked`: after each was asked for.

    `started`: seconds from the start to the first answer.
    """

    policies: int
    loaded: float
    asked: float
    started: float


def hits() -> Iterator[Hits]:
    names, port = cached_names(CACHED), free_port()
    with (
        lab() as settings,
        product(settings, policies=CACHED) as ours,
        ours.socketmap() as mine,
        server("-m", "bench.bare", str(port), str(CACHED), port=port) as bare,
    ):
        for map_name in ("postfix", "postfix-tlsrpt"):
            ask(mine.port, names, connections=ASKING, seconds=0, map_name=map_name)
        for connections in (1, 16, 64, 256):
            for map_name in ("postfix", "postfix-tlsrpt"):
                yield _hits(mine, bare, names, connections, map_name)


def _hits(mine: Server, bare: Server, names: list[str], connections: int, map_name: str) -> Hits:
    own, other = [], []
    for _ in range(ROUNDS):
        for each, rounds in ((bare, other), (mine, own)):
            load = ask(
                each.port, names, connections=connections, seconds=SECONDS, map_name=map_name
            )
            rounds.append(load)
    rate, bare_rate = (max(load.rate for load in rounds) for rounds in (own, other))
    return Hits(
        connections,
        map_name,
        rate,
        bare_rate,
        share=rate / bare_rate,
        p50=min(load.p50 for load in own),
        p99=min(load.p99 for load in own),
        bare_p99=min(load.p99 for load in other),
    )


def misses(delay: float) -> Misses:
    with lab(delay) as settings, product(settings) as ours, ours.socketmap() as mine:
        ask(mine.port, new_names(ASKING, ROUNDS * NEVER_SEEN), connections=ASKING, seconds=0)
        rounds: list[tuple[Load, float]] = []
        alone: list[Cost] = []
        for run in range(ROUNDS):
            alone.append(alone_cost(run, settings))
            before = mine.cpu
            load = ask(mine.port, new_names(NEVER_SEEN, run), connections=ASKING, seconds=0)
            rounds.append((load, (mine.cpu - before) / NEVER_SEEN * 1000))
    return Misses(
        delay,
        rate=max(load.rate for load, _ in rounds),
        cpu=min(cpu for _, cpu in rounds),
        alone_rate=max(cost.rate for cost in alone),
        alone_cpu=min(cost.cpu for cost in alone),
        p50=min(load.p50 for load, _ in rounds),
        p99=min(load.p99 for load, _ in rounds),
    )


def footprint(policies: int) -> Footprint:
    names = cached_names(policies)
    with lab() as settings, product(settings, policies=policies) as ours:
        with ours.socketmap() as first:
            started = first.started
        with ours.socketmap() as mine:
            started = min(started, mine.started)
            loaded = _settled_memory(mine)
            ask(mine.port, names, connections=ASKING, seconds=0)
            return Footprint(policies, loaded, mine.memory, started)


def _settled_memory(running: Server) -> float:
    """Once it no longer grows: the rows are loaded behind the first answers."""
    last = 0.0
    while (memory := running.memory) > last:
        last = memory
        time.sleep(1.0)
    return memory
