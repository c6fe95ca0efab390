"""Which rows a refresh takes on, and in which order; bulk refetches as jobs."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.models import F

from mtastsweb import requestid
from policies import cache, claiming, holders, jobs, refresh, rows, saving, turns, world
from policies.models import Fetch, Job, Lease, PolicyRecord, PolicyVersion
from policies.mtasts.errors import FetchError
from policies.politeness import Places
from policies.saving import Counts
from tests.worlds import ENFORCE, NOON, TESTING, Script, policy

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def cached(domain: str, **columns: Any) -> None:
    cache.upsert(domain, "1", policy(), ENFORCE)
    PolicyRecord.objects.filter(domain=domain).update(last_use=NOON, **columns)


def claimed(number: int = 10) -> list[str]:
    """Domains in the order in which they are claimed one by one."""
    found = []
    while len(found) < number and (rows_ := claiming.claim(1, NOON, MINUTE)):
        found.append(rows_[0].domain)
    return found


def _broken(*_: object) -> None:
    raise OperationalError("the database has gone away")


def _let_time_pass(span: timedelta) -> None:
    """As far as rounds of the refresh are concerned."""
    Lease.objects.filter(name__startswith=jobs.ROUND).update(until=F("until") - span)


class TestOrder:
    def test_what_is_due_longest_goes_first(self, script: Script) -> None:
        for minutes, domain in ((1, "later.example"), (5, "first.example"), (-1, "not.example")):
            cached(domain, refresh_due=NOON - timedelta(minutes=minutes))
        assert claimed() == ["first.example", "later.example"]

    def test_in_a_backlog_what_ends_soonest_goes_first_and_what_ended_last(
        self, script: Script
    ) -> None:
        week = timedelta(days=7)
        for hours, domain in ((30, "late.example"), (2, "soon.example"), (-9, "ended.example")):
            cached(domain, refresh_due=NOON - week, valid_end=NOON + timedelta(hours=hours))
        assert claimed() == ["soon.example", "late.example", "ended.example"]

    def test_what_has_no_plan_comes_after_what_has_one(self, script: Script) -> None:
        cached("imported.example", refresh_due=None)
        cached("planned.example", refresh_due=NOON)
        assert claimed() == ["planned.example", "imported.example"]

    def test_what_an_operator_asked_for_goes_before_what_is_due(self, script: Script) -> None:
        cached("due.example", refresh_due=NOON - timedelta(days=7))
        cached("asked.example", job=3)
        assert claimed() == ["asked.example", "due.example"]

    def test_what_ends_soon_goes_before_a_bulk_refetch(self, script: Script) -> None:
        for number in range(3):
            cached(f"asked{number}.example", job=3)
        half_an_hour = timedelta(minutes=30)
        cached("hourly.example", refresh_due=NOON, valid_end=NOON + half_an_hour)
        cached("imported.example", refresh_due=None, valid_end=NOON + timedelta(minutes=20))
        cached("asked3.example", job=3, valid_end=NOON + timedelta(minutes=10))
        cached("not-due.example", refresh_due=NOON + MINUTE, valid_end=NOON + half_an_hour)
        cached("ended.example", job=3, valid_end=NOON)
        soon = ["asked3.example", "imported.example", "hourly.example"]
        asked = [*(f"asked{number}.example" for number in range(3)), "ended.example"]
        assert claimed(3) == soon
        assert set(claimed()) == set(asked)
        PolicyRecord.objects.update(claim="", claimed_until=None)
        assert {row.domain for row in claiming.claim(7, NOON, MINUTE)} == {*soon, *asked}

    def test_neither_short_lives_nor_back_offs_nor_what_is_unused_hold_it_up(
        self, script: Script
    ) -> None:
        cached("asked.example", job=3)
        soon = NOON + timedelta(minutes=4)
        cached("short.example", job=3, max_age=600, valid_end=soon)
        cached("backoff.example", job=3, backoff=True, max_age=300, valid_end=soon)
        cached("unused.example", job=3, valid_end=soon)
        PolicyRecord.objects.filter(domain="unused.example").update(
            last_use=NOON - timedelta(days=181)
        )
        assert claimed()[0] == "asked.example"

    def test_what_ends_soon_is_found_by_an_index(self, script: Script) -> None:
        cached("hourly.example", refresh_due=NOON, valid_end=NOON + timedelta(minutes=20))
        ending = PolicyRecord.objects.ending(NOON, claiming.ENDING).order_by("valid_end")
        if connection.vendor == "sqlite":
            assert "USING INDEX policy_by_end (valid_end>? AND valid_end<?)" in ending.explain()
            return
        with connection.cursor() as cursor:  # else a table of one row is read as a whole
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        assert "policy_by_end" in ending.explain()

    def test_a_claim_holds_until_it_lapses(self, script: Script) -> None:
        cached("due.example", refresh_due=NOON)
        assert claiming.claim(5, NOON, MINUTE)
        assert not claiming.claim(5, NOON + timedelta(seconds=59), MINUTE)
        assert claiming.claim(5, NOON + MINUTE, MINUTE)


class TestCatchingUp:
    def test_takes_on_no_more_than_the_rate(self) -> None:
        now = [100.0]
        allowance = refresh.Allowance(5, clock=lambda: now[0])
        assert allowance.left == 5
        allowance.use(5)
        assert allowance.left == 0
        now[0] += 2
        assert allowance.left == 10

    def test_a_tick_waits_for_its_allowance(self, script: Script, change_environment: Any) -> None:
        for number in range(30):
            cached(f"d{number}.example", refresh_due=NOON - timedelta(days=7))
        script.publish()
        change_environment(refresh_rate=20)
        assert refresh.run(claiming_for=timedelta(seconds=0.2)).due < 30
        assert refresh.tick() is not None
        assert not PolicyRecord.objects.due(NOON).exists()

    def test_spreads_what_came_late_together(self, script: Script) -> None:
        for number in range(40):
            cached(f"d{number}.example", refresh_due=NOON - timedelta(days=7))
        script.publish()
        assert refresh.run().unchanged == 40
        plans = [row.refresh_due - NOON for row in PolicyRecord.objects.all()]
        assert max(plans) - min(plans) > timedelta(hours=3)
        assert max(plans) <= timedelta(hours=12)


class TestCrowdedAddresses:
    def test_wait_their_turn_without_a_failure(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            cached(f"d{number}.example", refresh_due=NOON)
        script.publish()
        places = Places(1)
        monkeypatch.setattr(refresh, "_places", lambda: places)
        fetch, refusals = script.world.fetch, []

        def polite(name: Any) -> Any:
            try:
                with places.slot("192.0.2.1", 1):
                    return fetch(name)
            except TimeoutError as error:
                refusals.append(name)
                return FetchError(str(error), reason="address-busy")

        outside = world.World(script.world.look, polite, script.now)
        with places.slot("192.0.2.1", 1):
            # Nothing gets a place: the round ends, and what it claimed is due as before.
            counts = refresh.run(outside=outside, stopping=lambda: len(refusals) >= 5)
        assert counts == Counts()
        assert not PolicyRecord.objects.exclude(claim="").exists()
        assert not Fetch.objects.exists()
        assert refresh.run(outside=outside) == Counts(due=5, unchanged=5)

    def test_hold_up_no_operator_s_refetch(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cached("parked.example", refresh_due=NOON)
        script.publish(TESTING, "2")
        places, others = Places(1), ExitStack()
        monkeypatch.setattr(refresh, "_places", lambda: places)
        others.enter_context(places.slot("192.0.2.1", 1))
        fetch, refusals, refetched = script.world.fetch, [], []

        def polite(name: Any) -> Any:
            try:
                with places.slot("192.0.2.1", 1):
                    return fetch(name)
            except TimeoutError as error:
                refusals.append(name)
                return FetchError(str(error), reason="address-busy")

        def ask_meanwhile() -> bool:
            if refusals and not refetched:
                assert PolicyRecord.objects.get().claim.endswith(holders.REFRESH)
                refetched.append(cache.refetch("parked.example", outside=script.world))
                script.publish(ENFORCE)  # what the refresh will be served counts no more
                others.close()
            return False

        script.during_wait = lambda: pytest.fail("the operator waits for the refresh")
        outside = world.World(script.world.look, polite, script.now)
        refresh.run(outside=outside, stopping=ask_meanwhile)
        assert [each.changed for each in refetched] == [True]
        assert len(script.fetches) == 2
        kept = PolicyRecord.objects.get()
        assert (kept.mode, kept.record_id, kept.claim) == ("testing", "2", "")
        assert [each.mode for each in PolicyVersion.objects.all()] == ["testing"]

    def test_a_job_s_row_that_was_refetched_meanwhile_has_its_turn_yet(
        self, script: Script
    ) -> None:
        cached("a.example")
        script.publish()
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        worked = turns.work(turns.Turn(*claiming.claim(1, NOON, MINUTE)), script.world)
        cache.refetch("a.example", outside=script.world)
        saving.save([worked], Counts(), jobs.Progress())
        refresh.run()
        job.refresh_from_db()
        assert (job.total, job.done, job.state) == (1, 1, "done")

    def test_postponed_rows_come_again_soon_and_before_their_end(self, script: Script) -> None:
        cached("a.example", refresh_due=NOON)
        cached("b.example", refresh_due=NOON, valid_end=NOON + timedelta(seconds=30))
        claiming.postpone(claiming.claim(5, NOON, MINUTE), NOON)
        plans = {row.domain: row.refresh_due - NOON for row in PolicyRecord.objects.all()}
        assert timedelta(minutes=1) <= plans["a.example"] <= timedelta(minutes=3)
        assert plans["b.example"] == timedelta(seconds=15)
        assert not PolicyRecord.objects.exclude(claim="").exists()


class TestJobs:
    def test_a_bulk_refetch_is_worked_by_the_refresh(self, script: Script) -> None:
        for number in range(10):
            cached(f"d{number}.example")
        script.publish(TESTING)
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "all policies", None)
        assert (job.total, job.state) == (10, "running")
        assert refresh.run() == Counts(due=10, refreshed=10)
        job.refresh_from_db()
        assert (job.done, job.failed, job.state) == (10, 0, "done")
        assert job.finished_at is not None
        assert not PolicyRecord.objects.exclude(job=None).exists()
        assert {fetch.source for fetch in Fetch.objects.all()} == {"operator"}
        assert set(PolicyRecord.objects.values_list("last_use", flat=True)) == {NOON}

    def test_log_lines_of_its_fetches_have_its_number(self, script: Script) -> None:
        cached("due.example", refresh_due=NOON)
        cached("asked.example")
        script.publish()
        told: dict[str, int | None] = {}
        script.during_fetch = lambda: told.update({script.fetches[-1]: requestid.job()})
        job = jobs.begin_refetch(PolicyRecord.objects.filter(domain="asked.example"), "", None)
        for domain in ("asked.example", "due.example"):  # one by one
            PolicyRecord.objects.exclude(domain=domain).update(claimed_until=NOON + MINUTE)
            refresh.run()
            PolicyRecord.objects.update(claimed_until=None)
        assert told == {"asked.example": job.pk, "due.example": None}

    def test_counts_failures_and_ends_edits(self, script: Script) -> None:
        cached("good.example", edited=NOON)
        cached("bad.example")
        script.publish(TESTING)
        fetch = script.world.fetch

        def fail_for_one(name: Any) -> Any:
            return FetchError("x", reason="y") if name.ascii == "bad.example" else fetch(name)

        job = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        refresh.run(outside=world.World(script.world.look, fail_for_one, script.now))
        job.refresh_from_db()
        assert (job.done, job.failed, job.state) == (2, 1, "done")
        assert PolicyRecord.objects.get(domain="good.example").edited is None

    def test_a_mark_that_comes_while_a_row_is_refreshed_is_worked_and_counted(
        self, script: Script
    ) -> None:
        cached("a.example", refresh_due=NOON)
        script.publish()
        worked = turns.work(turns.Turn(*claiming.claim(1, NOON, MINUTE)), script.world)
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        saving.save([worked], Counts(), jobs.Progress())
        assert PolicyRecord.objects.get().job == job.pk
        refresh.run()
        job.refresh_from_db()
        assert (job.total, job.done, job.state) == (1, 1, "done")
        assert script.fetches == ["a.example", "a.example"]

    def test_a_row_whose_claim_was_lost_is_counted_by_whoever_has_it(self, script: Script) -> None:
        cached("a.example")
        script.publish()
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        worked = turns.work(turns.Turn(*claiming.claim(1, NOON, MINUTE)), script.world)
        PolicyRecord.objects.update(claim="another's")
        saving.save([worked], Counts(), jobs.Progress())
        job.refresh_from_db()
        assert (job.done, job.state) == (0, "running")
        assert PolicyRecord.objects.get().job == job.pk

    def test_its_fetches_were_asked_for_by_whoever_asked_for_the_job(self, script: Script) -> None:
        user = User.objects.create_user("anna")
        cached("asked.example", refresh_due=NOON + MINUTE)
        cached("due.example", refresh_due=NOON - MINUTE)
        cached("gone.example", refresh_due=NOON + MINUTE)
        script.publish(TESTING)
        asked = PolicyRecord.objects.filter(domain="asked.example")
        jobs.begin_refetch(asked, "", user)
        jobs.begin_refetch(PolicyRecord.objects.filter(domain="gone.example"), "", None)
        refresh.run()
        by = dict(Fetch.objects.values_list("domain", "requested_by__username"))
        assert by == {"asked.example": "anna", "due.example": None, "gone.example": None}

    def test_a_row_that_a_job_has_already_is_left_to_it(self, script: Script) -> None:
        cached("a.example")
        first = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        second = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        assert (second.total, second.state) == (0, "done")
        assert PolicyRecord.objects.get().job == first.pk

    def test_stop_takes_the_marks_away(self, script: Script) -> None:
        cached("a.example")
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        assert jobs.stop(job)
        assert not jobs.stop(job)
        script.publish()
        assert refresh.run() == Counts()
        job.refresh_from_db()
        assert job.state == "stopped"

    def test_a_job_whose_rows_are_gone_ends(self, script: Script) -> None:
        cached("a.example")
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "", None)
        cache.delete(["a.example"])
        jobs.tidy()
        job.refresh_from_db()
        assert job.state == "done"

    def test_a_round_of_the_refresh_is_a_job_too(self, script: Script) -> None:
        for number in range(3):
            cached(f"d{number}.example", refresh_due=NOON)
        script.publish()
        refresh.run()
        job = Job.objects.get()
        assert (job.kind, job.total, job.done, job.state) == ("refresh", 3, 3, "done")
        refresh.run()
        assert Job.objects.count() == 1

    def test_a_round_that_broke_is_over_once_it_is_silent(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cached("a.example", refresh_due=NOON)
        script.publish()
        monkeypatch.setattr(refresh, "save", _broken)
        with pytest.raises(OperationalError):
            refresh.run()
        job = Job.objects.get()
        jobs.tidy()
        job.refresh_from_db()
        assert job.state == "running"  # it may yet give a sign of life
        _let_time_pass(jobs.SILENCE)
        jobs.tidy()
        job.refresh_from_db()
        assert job.state == "stopped"
        assert not Lease.objects.filter(name__startswith=jobs.ROUND).exists()

    def test_a_round_that_goes_on_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs, "SIGN", 0.0)
        progress = jobs.Progress()
        progress.live()  # no round yet
        progress.begin_round(lambda: 1)
        _let_time_pass(jobs.SILENCE)
        progress.live()
        jobs.tidy()
        assert Job.objects.get().state == "running"

    def test_knows_its_rate_and_the_time_left(self) -> None:
        job = Job(kind="refetch", total=100, done=25, started_at=NOON)
        now = NOON + timedelta(seconds=50)
        assert job.rate(now) == 0.5
        assert job.time_left(now) == timedelta(seconds=150)
        assert job.rate(NOON) == 0.0
        assert Job(total=9, started_at=NOON).time_left(now) is None
        assert str(job) == "refetch None: 25 of 100"


def test_loose_plans_are_in_the_second_half() -> None:
    plans = {rows.refresh_due(86400, NOON, loosely=True) - NOON for _ in range(200)}
    assert timedelta(hours=6) <= min(plans)
    assert max(plans) <= timedelta(hours=12)
