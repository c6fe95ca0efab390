"""Much at once: random names, many connections, policy hosts that hang."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policies.mtasts.dns import Resolver
from policies.mtasts.https import PolicyFetcher
from policies.socketmap.netstring import encode
from policies.socketmap.server.pool import Pool
from policies.socketmap.server.server import Limits
from policies.world import World, real
from tests.socketmap.server.running import Running
from tests.worlds import ENFORCE, Script

if TYPE_CHECKING:
    from tests.lab.lab import Lab

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"


def ask_all(server: Running, names: list[str], connections: int) -> None:
    """Ask for each name once, over so many connections at a time."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(connections)]
        for start in range(0, len(names), connections):
            part = names[start : start + connections]
            asked = clients[: len(part)]
            for client, name in zip(asked, part, strict=True):
                client.send(encode(f"postfix {name}".encode()))
            for client in asked:
                client.reply()


def memory() -> int:
    """KiB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def test_names_that_do_not_exist_take_no_more_room_than_is_set(
    serve: Serve, script: Script
) -> None:
    server = serve(limits=Limits(cache=10, per_address=0, others=50)).loaded()
    ask_all(server, [f"d{number}.example" for number in range(300)], 20)
    kept = server.server.memory
    assert len(kept.ready) <= 50
    assert kept.others <= 50


def test_policies_take_no_more_room_than_is_set_and_the_last_used_stay(
    serve: Serve, script: Script
) -> None:
    script.publish(ENFORCE)
    server = serve(limits=Limits(cache=20, per_address=0)).loaded()
    names = [f"d{number}.example" for number in range(60)]
    for number, name in enumerate(names, start=1):
        assert server.ask(name) == SECURE
        server.ask(f"{names[0]}:{number}")  # no hit, so that its use is seen at once
    assert server.server.memory.policies == 20
    looks = len(script.looks)
    assert server.ask(names[0]) == server.ask(names[-1]) == SECURE
    assert len(script.looks) == looks


def test_one_domain_written_in_many_ways_takes_little_room(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    ask_all(server, [f"example.org:{port}" for port in range(1, 200)], 20)
    assert len(server.server.memory.ready) <= 8


@pytest.mark.slow
def test_ten_thousand_random_names_and_two_thousand_connections_leave_memory_bounded(
    serve: Serve, script: Script
) -> None:
    server = serve(limits=Limits(cache=1000, per_address=8, others=2000)).loaded()
    source = random.Random(1)

    def names(number: int) -> list[str]:
        return [
            f"{source.getrandbits(64):x}.{source.getrandbits(64):x}.example" for _ in range(number)
        ]

    ask_all(server, names(3000), 2000)
    before = memory()
    for _ in range(2):
        ask_all(server, names(10_000), 2000)
    assert memory() - before < 20 * 1024
    assert len(server.server.memory.ready) <= 2000


class Network:
    """The laboratory as the server sees it, with shares for addresses and domains."""

    def __init__(self, lab: Lab) -> None:
        self._resolver = Resolver((lab.nameserver,))
        self._lab = lab

    def __call__(self, pool: Pool) -> World:
        fetcher = PolicyFetcher(
            self._resolver,
            port=self._lab.policy_port,
            ca_file=self._lab.ca_file,
            allow_private=True,
            slot=pool.at_address,
        )
        return real(self._resolver, fetcher)


@pytest.mark.parametrize("together", [False, True], ids=["fifty addresses", "one address"])
def test_fifty_hanging_policy_hosts_keep_no_other_domain_waiting(
    serve: Serve, lab: Lab, together: bool
) -> None:
    from tests.lab import replies

    policy = ENFORCE.replace("86400", "86401")
    hanging, good = lab.addresses[0], lab.addresses[1]
    gate = lab.gate()
    for number in range(50):
        address = hanging if together else lab.addresses[2 + number % (len(lab.addresses) - 2)]
        lab.domain(
            f"h{number}.example{number}.test", policy, address=address,
            behaviour=replies.Held(gate),
        )  # fmt: skip
    for number in range(20):
        lab.domain(f"good{number}.test", policy, address=good)
    server = serve(Network(lab), limits=Limits(cache=1000, per_address=8)).loaded()
    with ExitStack() as stack:
        waiting = [stack.enter_context(server.client()) for _ in range(50)]
        for number, client in enumerate(waiting):
            client.send(encode(f"postfix h{number}.example{number}.test".encode()))
        gate.wait_for_arrivals(8)
        began = time.monotonic()
        for number in range(20):
            assert server.ask(f"good{number}.test") == SECURE
        assert time.monotonic() - began < 10
        gate.open()
        assert {client.reply() for client in waiting} == {SECURE}
