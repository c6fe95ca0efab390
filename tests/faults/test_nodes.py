"""Two machines with one database: each works, neither does what the other is at."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import whole
from tests.faults.conftest import NEW_REPLY, OLD_REPLY, MakeProduct, is_idle, refreshed
from tests.faults.product import Product
from tests.needs import needs_root
from tests.socketmap.server.client import Client
from tests.socketmap.server.cluster import Cluster
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults"), needs_root()]

if TYPE_CHECKING:
    from tests.lab.lab import Lab

SEEN_ELSEWHERE = 1.0
"""Seconds after which a change is answered everywhere."""

LAPSED = 300.0
"""Seconds after which what a dead node held has lapsed (the longest, the task that it had taken,
after 150 s) and a tick has come, which it does each minute."""


@pytest.fixture
def nodes(cluster: Cluster, make_product: MakeProduct, tmp_path: Path) -> list[Product]:
    shared = {
        "DATABASE_URL": cluster.url, "SECRET_KEY": "for tests", "REFRESH_RATE": "50",
        "MTASTS_FETCH_TIMEOUT": "15",
    }  # fmt: skip
    return [
        make_product(tmp_path / name, filled=name == "one", NODE_NAME=name, **shared)
        for name in ("one", "two")
    ]


def test_two_nodes_share_the_work(nodes: list[Product], served: Lab, domains: list[str]) -> None:
    one, two = nodes
    for node in nodes:
        node.start()
    while refreshed(one) < len(domains):
        for node in nodes:
            node.tick()
    wait_until(lambda: is_idle(one), 30)
    fetched = Counter(request.sni for request in served.requests)
    assert fetched == {f"mta-sts.{domain}": 1 for domain in domains}
    rounds = one.database.rows(
        "SELECT started_at, finished_at FROM policies_job WHERE kind = 'refresh'"
        " ORDER BY started_at"
    )
    assert all(ended <= began for (_, ended), (began, _) in pairwise(rounds))
    assert set(one.database.rows("SELECT node, kind FROM policies_heartbeat")) == {
        (node, kind) for node in ("one", "two") for kind in ("worker", "socketmap", "web")
    }
    _check_change_is_seen(nodes, domains[7])
    assert [node.stop() for node in nodes] == [0, 0]
    assert not one.processes()
    assert not two.processes()
    whole.check(one, domains)


def _check_change_is_seen(nodes: list[Product], domain: str) -> None:
    clients = [Client(("127.0.0.1", node.port)) for node in nodes]
    for client in clients:
        wait_until(lambda client=client: client.ask(domain) == NEW_REPLY)
    change = "UPDATE policies_policyrecord SET mode = ?, policy_text = REPLACE(policy_text, ?, ?)"
    for before, after, reply in (
        ("enforce", "testing", OLD_REPLY),
        ("testing", "enforce", NEW_REPLY),
    ):
        nodes[0].database.rows(f"{change} WHERE domain = ?", after, before, after, domain)
        for client in clients:
            wait_until(lambda c=client, r=reply: c.ask(domain) == r, SEEN_ELSEWHERE)
    for client in clients:
        client.close()


def test_what_a_dead_node_had_claimed_is_taken_over(
    nodes: list[Product], domains: list[str]
) -> None:
    dead, alive = nodes
    dead.start()
    wait_until(lambda: refreshed(dead) > 50, 30)
    for pid in dead.processes():  # at once, as when the power goes
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not dead.processes(), 20)
    left = refreshed(alive)
    alive.start()
    wait_until(lambda: not _queued(alive), 60)
    assert left == refreshed(alive) < len(domains)
    # By itself: the dead one's claims and tick lapse, and the next tick of the schedule comes.
    wait_until(lambda: refreshed(alive) == len(domains), LAPSED, pause=0.1)
    # And the task that it had taken is dropped, once it would have been killed over it.
    wait_until(lambda: is_idle(alive), LAPSED, pause=0.1)
    assert alive.stop() == 0
    assert not alive.processes()
    whole.check(alive, domains)


def _queued(product: Product) -> int:
    """Tasks that nobody has taken."""
    return product.database.number("SELECT COUNT(*) FROM django_q_ormq WHERE lock <= now()")
