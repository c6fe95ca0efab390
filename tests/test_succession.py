"""What a dead process held is free at once, and nobody else's is touched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone
from django_q.models import OrmQ

from policies import cache, claiming, fetches, holders, jobs, leases, queue, succession, tasks
from policies.models import Fetch, Job, Lease, PolicyRecord
from policies.mtasts import parse_domain
from tests.worlds import ENFORCE, NOON, Script, policy

pytestmark = pytest.mark.django_db

NAME = parse_domain("example.org")
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process is a run of the worker."""
    monkeypatch.setattr(holders, "_run", holders._Run(""))
    holders.begin("worker", tmp_path)


def die() -> None:
    """What this process did so far was done by one that is dead."""
    holders.renew()


def waiting() -> list[str]:
    """What a worker could take now."""
    now = timezone.now()
    return [row.func() for row in OrmQ.objects.filter(lock__lte=now).order_by("pk")]


def take() -> tuple[int, str]:
    [taken] = queue.Broker(list_key="mtastsweb").dequeue()
    return taken


def begin_round() -> Job:
    progress = jobs.Progress()
    progress.begin_round(lambda: 5)
    return Job.objects.get()


class TestClaims:
    def test_of_the_dead_are_ended(self, script: Script) -> None:
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(refresh_due=NOON)
        [row] = claiming.claim(1, NOON, MINUTE)
        assert claiming.claim(1, NOON, MINUTE) == []
        die()
        succession.settle()
        assert PolicyRecord.objects.get().claim == ""
        [again] = claiming.claim(1, NOON, MINUTE)
        assert again.pk == row.pk

    def test_of_the_living_and_of_the_unknown_stay(self, script: Script) -> None:
        cache.upsert("a.example", "1", policy(), ENFORCE)
        cache.upsert("b.example", "1", policy(), ENFORCE)
        PolicyRecord.objects.filter(domain="b.example").update(claim="f" * 32, claimed_until=NOON)
        die()
        PolicyRecord.objects.filter(domain="a.example").update(claim=holders.token())
        succession.settle()
        assert not PolicyRecord.objects.filter(claim="").exists()

    def test_of_the_dead_are_ended_by_the_socketmap_too(self, script: Script) -> None:
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(claim=holders.token())
        die()
        claiming.release_dead()
        assert PolicyRecord.objects.get().claim == ""
        assert holders.dead() == []


class TestLeases:
    def test_of_the_dead_are_free(self) -> None:
        holder = leases.held(jobs.LEASE, MINUTE, NOON)
        assert holder.__enter__()
        die()
        succession.settle()
        with leases.held(jobs.LEASE, MINUTE, NOON) as ours:
            assert ours

    def test_of_the_living_are_not(self) -> None:
        die()
        with leases.held(jobs.LEASE, MINUTE, NOON):
            succession.settle()
            with leases.held(jobs.LEASE, MINUTE, NOON) as ours:
                assert not ours

    def test_a_pause_outlives_everybody(self) -> None:
        leases.pause(jobs.LEASE, NOON + MINUTE)
        die()
        succession.settle()
        assert leases.paused_until(jobs.LEASE, NOON) == NOON + MINUTE


class TestTasks:
    def test_taken_by_the_dead_wait_again_and_their_fetches_too(self) -> None:
        fetch, _ = tasks.request_refetch(NAME, None)
        take()
        fetches.begin(fetch.pk)
        assert waiting() == []
        die()
        succession.settle()
        assert waiting() == [queue.REFETCH, queue.TICK]
        fetch.refresh_from_db()
        assert (fetch.state, fetch.started_at) == ("queued", None)

    def test_whose_fetch_has_ended_do_not_make_it_again(self, script: Script) -> None:
        script.publish()
        fetch, _ = tasks.request_refetch(NAME, None)
        take()
        tasks.refetch(fetch.pk)
        die()
        succession.settle()
        tasks.refetch(fetch.pk)
        assert script.fetches == ["example.org"]
        assert Fetch.objects.get().state == "done"

    def test_taken_by_the_living_stay_taken(self) -> None:
        tasks.request_refetch(NAME, None)
        die()
        take()
        succession.settle()
        assert waiting() == [queue.TICK]

    def test_that_end_who_works_them_wait_for_their_time_at_last(self) -> None:
        tasks.request_refetch(NAME, None)
        for _attempt in range(3):
            take()
            die()
            OrmQ.objects.exclude(pk=OrmQ.objects.order_by("pk")[0].pk).delete()  # the ticks
            succession.settle()
        assert waiting() == [queue.TICK]

    def test_that_tick_are_not_put_twice(self) -> None:
        for _killed in range(5):
            queue.put_tick()
            take()
            die()
            succession.settle()
            assert waiting() == [queue.TICK]
            OrmQ.objects.all().delete()
        assert not Lease.objects.exists()

    def test_that_are_done_leave_nothing(self) -> None:
        queue.put_tick()
        number, _ = take()
        queue.Broker(list_key="mtastsweb").acknowledge(number)
        assert not Lease.objects.exists()
        assert not OrmQ.objects.exists()

    def test_are_taken_oldest_first_and_by_one(self) -> None:
        tasks.request_refetch(NAME, None)
        queue.put_tick()
        first, second = take(), take()
        assert first[0] < second[0]
        assert waiting() == []

    def test_that_are_gone_otherwise_leave_no_lease(self) -> None:
        queue.put_tick()
        take()
        OrmQ.objects.all().delete()
        queue.tidy(timezone.now())
        assert not Lease.objects.exists()

    def test_that_are_done_and_could_not_be_taken_off_the_queue_go_once_that_is_certain(
        self, script: Script
    ) -> None:
        script.publish()
        queue.put_tick()
        take()
        fetch, _ = tasks.request_refetch(NAME, None)
        take()
        now, killed = timezone.now(), timedelta(seconds=queue.task_timeout()) + queue.SLACK
        queue.tidy(now + killed - MINUTE)  # either may yet be at work
        assert OrmQ.objects.count() == 2
        queue.tidy(now + killed + MINUTE)
        assert [row.func() for row in OrmQ.objects.all()] == [queue.REFETCH]
        tasks.refetch(fetch.pk)
        queue.tidy(now + killed + MINUTE)
        assert not OrmQ.objects.exists()
        assert not Lease.objects.exists()


class TestRounds:
    def test_of_the_dead_are_ended(self) -> None:
        job = begin_round()
        die()
        succession.settle()
        job.refresh_from_db()
        assert job.state == "stopped"
        assert job.finished_at is not None
        assert not Lease.objects.filter(name__startswith=jobs.ROUND).exists()

    def test_of_the_living_go_on(self) -> None:
        die()
        job = begin_round()
        succession.settle()
        job.refresh_from_db()
        assert job.state == "running"


def test_is_done_once() -> None:
    die()
    succession.settle()
    succession.settle()
    assert waiting() == [queue.TICK]
    assert holders.dead() == []


def test_who_takes_over_may_be_killed_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or nothing, for what is left is found by the leases."""
    tasks.request_refetch(NAME, None)
    take()
    die()
    with monkeypatch.context() as killed:
        killed.setattr(queue, "give_back", _be_killed)
        with pytest.raises(KeyboardInterrupt):
            succession.settle()
    assert waiting() == []
    succession.settle()
    assert waiting() == [queue.REFETCH, queue.TICK]


def _be_killed(_freed: list[str]) -> int:
    raise KeyboardInterrupt


def test_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise DatabaseError("away")

    with monkeypatch.context() as away:
        away.setattr(claiming, "release", fail)
        die()
        succession.settle()
        assert len(holders.dead()) == 1
    tasks.tick()
    assert holders.dead() == []
