"""`kill -9` of each process, at seeded moments, while policies are refreshed and asked for."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable

import pytest

from tests.faults import whole
from tests.faults.conftest import NEW_REPLY, OLD_REPLY, POLICIES, MakeProduct, is_idle, refreshed
from tests.faults.lookups import Lookups
from tests.faults.product import Product
from tests.needs import needs_root
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults"), needs_root()]

KILLS = 4
"""Each before and after the supervisor itself is killed."""

ASK = (
    "from policies import jobs, tasks; from policies.models import PolicyRecord;"
    " from policies.mtasts import parse_domain;"
    " [tasks.request_refetch(parse_domain(f'd{n}.lab.test'), None) for n in range(5)];"
    " jobs.begin_refetch(PolicyRecord.objects.filter(domain__contains='9'), 'of some', None)"
)
"""What operators ask for: some refetches, and one of many."""


PATIENT = {"MTASTS_DNS_TIMEOUT": "20", "MTASTS_FETCH_TIMEOUT": "30"}
"""Seconds. Name server and policy hosts are in this process, which is kept waiting by the others;
a look-up that fails for that is rightly tried again after five minutes, and not in a test."""

SOON = 60.0
"""Seconds after which work goes on, whatever was killed; a claim or a lease lapses later."""


def test_it_goes_on_after_every_kill(product: Product, domains: list[str]) -> None:
    """Without a hand: nothing lapses by its time here, and nobody asks for a tick."""
    dice = random.Random(20260301)
    product.environ |= PATIENT
    product.environ["REFRESH_RATE"] = "15"  # so that each kill comes amid a refresh
    with Lookups(product.port, domains) as lookups:
        product.start()
        product.call(ASK)
        _kill_some(product, dice)
        product.kill_supervisor()
        product.environ["REFRESH_RATE"] = "25"
        product.start()
        _kill_some(product, dice)
        _until(product.is_up)
        _until(lambda: refreshed(product) == len(domains))
        answers = lookups.answers.copy()
        _until(lambda: lookups.answers[NEW_REPLY] > answers[NEW_REPLY] + 20)
    assert set(lookups.answers) <= {NEW_REPLY, OLD_REPLY}
    _until(lambda: is_idle(product))
    assert product.stop() == 0
    assert not product.processes()
    whole.check(product, domains)
    whole.check_counts(product, lookups, kills=3)  # twice alone, and once with the supervisor
    _check_what_was_asked_for(product)


def _kill_some(product: Product, dice: random.Random) -> None:
    """Of each child one process, its leader or another, in any order and at any moment."""
    victims = ["worker", "worker", "web", "socketmap"]
    dice.shuffle(victims)
    for name in victims:
        moment = min(refreshed(product) + dice.randrange(40), POLICIES)
        _until(lambda moment=moment: refreshed(product) >= moment)
        _until(lambda name=name: _is_one_killed(product, name, dice))


def _is_one_killed(product: Product, name: str, dice: random.Random) -> bool:
    """False where the child does not run, or its process had just ended by itself."""
    session = product.session(name)
    if len(session) < (1 if name == "socketmap" else 2):
        return False
    try:
        os.kill(dice.choice(session), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _check_what_was_asked_for(product: Product) -> None:
    """Each refetch was made, and the one of many counted each policy once."""
    ends = product.database.rows(
        "SELECT outcome FROM policies_fetch WHERE requested_by_id IS NULL AND source = 'operator'"
        " AND domain IN ('d0.lab.test', 'd1.lab.test', 'd2.lab.test', 'd3.lab.test', 'd4.lab.test')"
    )
    assert set(ends) == {("fetched",)}
    jobs = product.database.rows("SELECT state, done, total FROM policies_job WHERE kind='refetch'")
    assert [(state, done - total) for state, done, total in jobs] == [("done", 0)]


def _until(is_so: Callable[[], bool]) -> None:
    """Asked seldom: each time costs the laboratory's threads some of theirs."""
    wait_until(is_so, SOON, pause=0.1)


def test_no_killed_process_of_a_cluster_freezes_the_others(make_product: MakeProduct) -> None:
    product = make_product()
    product.start()
    number = len(product.session("worker"))
    for position in range(1, number):
        wait_until(lambda: len(product.session("worker")) >= number and not _queued(product), 30)
        os.kill(product.session("worker")[position], signal.SIGKILL)
        product.tick()
    wait_until(lambda: not _queued(product), 30)
    assert product.stop() == 0


def _queued(product: Product) -> int:
    """Tasks that wait or are not acknowledged."""
    return product.database.number("SELECT COUNT(*) FROM django_q_ormq")
