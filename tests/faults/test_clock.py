"""The clock jumps by an hour, forwards and back, between two ticks and amid one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policies import cache, jobs, refresh
from policies.models import Fetch, Lease, PolicyRecord
from policies.saving import Counts
from tests.worlds import ENFORCE, NOON, TESTING, Script, policy

pytestmark = pytest.mark.django_db

DOMAINS = [f"d{number}.example" for number in range(20)]


@pytest.fixture
def due(script: Script) -> Script:
    """Twenty policies in use that are due, and another text published."""
    for domain in DOMAINS:
        cache.upsert(domain, "1", policy(), ENFORCE)
    PolicyRecord.objects.update(refresh_due=NOON, last_use=NOON)
    script.publish(TESTING)
    return script


def is_whole() -> bool:
    """Every policy is there as published, and nothing is held."""
    whole = PolicyRecord.objects.filter(policy_text=TESTING, mode="testing", claim="")
    return whole.count() == len(DOMAINS) and not Lease.objects.exclude(holder="").exists()


@pytest.mark.parametrize("hours", [1, -1])
def test_amid_a_tick(due: Script, hours: int) -> None:
    due.during_fetch = lambda: due.pass_(hours=hours) if len(due.fetches) == 10 else None
    refresh.tick()
    due.during_fetch = lambda: None
    due.time = NOON + timedelta(hours=2)
    refresh.tick()
    assert is_whole()
    assert not Fetch.objects.exclude(state=Fetch.State.DONE).exists()


def test_back_after_a_tick_died_with_its_claims(due: Script) -> None:
    """Its lease and claims end an hour later than they would, and no later."""
    ahead = NOON + refresh.CLAIMING + refresh.work_time()
    Lease.objects.create(name=jobs.LEASE, holder="dead", until=ahead)
    PolicyRecord.objects.update(claim="dead", claimed_until=ahead)
    due.pass_(hours=-1)
    assert refresh.tick() is None
    assert cache.lookup(DOMAINS[0]).policy == policy()
    due.time = ahead
    assert refresh.tick() == Counts(due=20, refreshed=20)
    assert is_whole()


def test_back_and_what_was_fetched_is_not_fetched_again(due: Script) -> None:
    refresh.tick()
    due.pass_(hours=-1)
    assert refresh.tick() == Counts()
    assert is_whole()


def test_forwards_and_a_policy_that_has_ended_by_it_is_fetched_at_once(due: Script) -> None:
    short = ENFORCE.replace("86400", "3600")
    PolicyRecord.objects.update(refresh_due=NOON + timedelta(minutes=30))
    cache.upsert(DOMAINS[0], "1", policy(short), short)
    due.pass_(hours=1)
    assert refresh.tick() == Counts(due=20, refreshed=20)
    assert is_whole()
