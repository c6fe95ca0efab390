"""Fetches that operators ask for, from the wish to how it ended, and the tick."""

from __future__ import annotations

import pydoc
import sys
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from policies import (
    cache,
    fetches,
    heartbeats,
    jobs,
    leases,
    mxcheck,
    probing,
    queue,
    refresh,
    summary,
    tasks,
)
from policies.alerts import delivery
from policies.models import Fetch, Heartbeat, Job, PolicyRecord, PolicyVersion
from policies.mtasts import parse_domain
from policies.mtasts.errors import DNSError, FetchError, NoRecordError, PolicySyntaxError
from policies.querysets import UNUSED
from policies.saving import Counts
from tests.worlds import ENFORCE, TESTING, Script, policy, record

pytestmark = pytest.mark.django_db

NAME = parse_domain("example.org")


@pytest.fixture
def operator() -> User:
    return User.objects.create_user("operator")


def work() -> None:
    """Run what waits in the queue, as a worker does: by the dotted path and what was signed."""
    for waiting in OrmQ.objects.order_by("pk"):
        task = SignedPackage.loads(waiting.payload)
        function = pydoc.locate(task["func"])
        assert callable(function), task["func"]
        function(*task["args"], **task["kwargs"])
        waiting.delete()


def waiting_ticks() -> int:
    tasks_ = [SignedPackage.loads(waiting.payload) for waiting in OrmQ.objects.all()]
    return sum(task["func"] == queue.TICK for task in tasks_)


class TestRefetch:
    def test_is_queued_then_runs_then_tells_how_it_ended(
        self, script: Script, operator: User
    ) -> None:
        script.publish()
        fetch, created = tasks.request_refetch(NAME, operator)
        assert created
        assert (fetch.state, fetch.requested_by, fetch.source) == ("queued", operator, "operator")
        seen = []
        script.during_fetch = lambda: seen.append(Fetch.objects.get().state)
        work()
        fetch.refresh_from_db()
        assert seen == ["running"]
        assert (fetch.state, fetch.outcome, fetch.changed) == ("done", "fetched", True)
        assert fetch.took is not None
        assert cache.lookup("example.org").policy == policy()

    def test_asked_for_twice_is_made_once(self, script: Script, operator: User) -> None:
        script.publish()
        first, _ = tasks.request_refetch(NAME, operator)
        second, created = tasks.request_refetch(NAME, operator)
        assert (second, created) == (first, False)
        work()
        assert script.fetches == ["example.org"]
        assert tasks.request_refetch(NAME, operator)[1]

    def test_delivered_twice_is_made_once(self, script: Script, operator: User) -> None:
        script.publish()
        fetch, _ = tasks.request_refetch(NAME, operator)
        tasks.refetch(fetch.pk)
        tasks.refetch(fetch.pk)
        assert script.fetches == ["example.org"]

    @pytest.mark.parametrize(
        ("look", "fetched", "outcome", "failure", "message"),
        [
            (
                record(),
                FetchError("status 500", reason="http-status-500"),
                "failed",
                "sts-policy-fetch-error: cannot-fetch-policy+http-status-500",
                "status 500",
            ),
            (
                record(),
                PolicySyntaxError("no colon", line=3, received="x"),
                "failed",
                "sts-policy-invalid: policy-syntax-error",
                "line 3: no colon",
            ),
            (NoRecordError("none"), None, "no-record", "", "none"),
            (
                DNSError("late", reason="timeout"),
                None,
                "failed",
                "sts-policy-fetch-error: dns-lookup+timeout",
                "late",
            ),
        ],
    )
    def test_tells_what_failed(
        self,
        script: Script,
        look: object,
        fetched: object,
        outcome: str,
        failure: str,
        message: str,
    ) -> None:
        script.look, script.fetch = look, fetched  # type: ignore[assignment]
        fetch, _ = tasks.request_refetch(NAME, None)
        work()
        fetch.refresh_from_db()
        assert (fetch.outcome, fetch.failure, fetch.message) == (outcome, failure, message)

    def test_that_breaks_us_is_told_as_lost(self, script: Script) -> None:
        script.look, script.fetch = record(), SystemExit("the queue's timeout")
        fetch, _ = tasks.request_refetch(NAME, None)
        with pytest.raises(SystemExit):
            work()
        fetch.refresh_from_db()
        assert (fetch.state, fetch.outcome) == ("done", "lost")
        assert "SystemExit" in fetch.message


class TestTick:
    def test_ends_versions_whose_policy_is_gone(self, script: Script) -> None:
        script.publish()
        cache.get("example.org")
        PolicyRecord.objects.all().delete()
        tasks.tick()
        assert PolicyVersion.objects.get().last_seen is not None

    def test_refreshes_and_gives_a_sign_of_life(self, script: Script) -> None:
        script.publish(TESTING)
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(refresh_due=None)
        tasks.tick()
        assert PolicyRecord.objects.get().mode == "testing"
        age = heartbeats.age("worker")
        assert age is not None
        assert age < timedelta(seconds=10)
        assert heartbeats.age("socketmap") is None

    @pytest.mark.parametrize("broken", [summary.recount, delivery.send_due, mxcheck.tick])
    def test_does_the_rest_where_a_part_of_it_breaks_and_tells(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, broken: Callable[..., object]
    ) -> None:
        def breaks(*_args: object, **_options: object) -> None:
            raise RuntimeError("a fault of ours")

        probed: list[object] = []
        monkeypatch.setattr(sys.modules[broken.__module__], broken.__name__, breaks)
        monkeypatch.setattr(probing, "tick", lambda *_args, **_options: probed.append(None))
        script.publish(TESTING)
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(refresh_due=None)
        with pytest.raises(RuntimeError, match="a fault of ours"):
            tasks.tick()
        assert PolicyRecord.objects.get().mode == "testing"
        assert probed

    def test_a_second_one_ends_at_once_while_one_is_at_work(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done: list[str] = []

        def refreshes(*_args: object, **_options: object) -> Counts:
            done.append("refresh")
            if len(done) == 1:
                tasks.tick()
            return Counts()

        monkeypatch.setattr(refresh, "tick", refreshes)
        monkeypatch.setattr(mxcheck, "tick", lambda *_args, **_options: done.append("mx"))
        monkeypatch.setattr(probing, "tick", lambda *_args, **_options: done.append("probe"))
        monkeypatch.setattr(delivery, "send_due", lambda *_args: done.append("send"))
        tasks.tick()
        assert done == ["refresh", "mx", "probe", "send"]
        assert waiting_ticks() == 0
        tasks.tick()
        assert len(done) == 8

    def test_one_that_took_all_of_its_minute_is_followed_at_once(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "MINUTE", 0.0)
        tasks.tick()
        assert waiting_ticks() == 1

    def test_one_whose_refresh_pauses_is_not(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "MINUTE", 0.0)
        leases.pause(jobs.LEASE, script.now() + timedelta(hours=1))
        tasks.tick()
        assert waiting_ticks() == 0

    def test_what_goes_before_the_refresh_takes_from_its_time_but_never_all_of_it(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, spans, took = [0.0], [], [0.0]

        def refreshes(span: timedelta, **_options: object) -> Counts:
            spans.append(span.total_seconds())
            return Counts()

        def recounts(_now: object) -> None:
            now[0] += took[0]

        monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(refresh, "tick", refreshes)
        monkeypatch.setattr(summary, "recount", recounts)
        for took[0] in (0.0, 20.0, 90.0):
            tasks.tick()
        assert spans == [50.0, 30.0, 20.0]

    def test_a_bulk_refetch_that_comes_after_its_refresh_begins_at_once(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.upsert("example.org", "1", policy(), ENFORCE)
        script.publish(TESTING)
        gives_way = []

        def checks(_span: timedelta, *, stopping: Callable[[], bool]) -> None:
            gives_way.append(stopping())
            tasks.request_refetch_of_many(PolicyRecord.objects.all(), "all", None)
            work()  # its tick finds this one at work
            gives_way.append(stopping())

        with monkeypatch.context() as during:
            during.setattr(mxcheck, "tick", checks)
            tasks.tick()
        assert gives_way == [False, True]
        assert not script.fetches
        work()
        assert script.fetches == ["example.org"]
        assert Job.objects.get().state == "done"

    @pytest.mark.parametrize(
        ("state", "age", "is_given_up"),
        [
            ("queued", timedelta(minutes=59), False),
            ("queued", timedelta(minutes=61), True),
            ("running", timedelta(minutes=3), False),
            ("running", timedelta(minutes=5), True),
        ],
    )
    def test_gives_up_what_lost_its_worker(
        self, script: Script, state: str, age: timedelta, is_given_up: bool
    ) -> None:
        then = timezone.now() - age
        fetch = Fetch.objects.create(
            domain="example.org", source="operator", state=state, queued_at=then, started_at=then
        )
        tasks.tick()
        fetch.refresh_from_db()
        assert (fetch.outcome == "lost") is is_given_up

    def test_forgets_machines_that_were_silent_for_a_week(self, script: Script) -> None:
        now = timezone.now()
        for node, days in (("gone", 8), ("here", 6)):
            Heartbeat.objects.create(node=node, kind="socketmap", at=now - timedelta(days=days))
        tasks.tick()
        kept = Heartbeat.objects.filter(kind="socketmap").values_list("node", flat=True)
        assert list(kept) == ["here"]

    @pytest.mark.parametrize(
        ("source", "outcome", "changed", "days", "is_kept"),
        [
            ("refresh", "fetched", False, 4, False),
            ("refresh", "fetched", False, 2, True),
            ("refresh", "fetched", True, 4, True),
            ("refresh", "failed", False, 4, True),
            ("operator", "fetched", False, 4, True),
            ("operator", "fetched", False, 91, False),
        ],
    )
    def test_forgets_old_fetches(
        self, script: Script, source: str, outcome: str, changed: bool, days: int, is_kept: bool
    ) -> None:
        then = timezone.now() - timedelta(days=days)
        Fetch.objects.create(
            domain="example.org",
            source=source,
            state="done",
            outcome=outcome,
            changed=changed,
            queued_at=then,
        )
        fetches.prune(timezone.now())
        assert Fetch.objects.exists() is is_kept


class TestQueue:
    def test_the_tick_is_scheduled_once_a_minute_by_a_path_that_resolves(self) -> None:
        schedule = Schedule.objects.get(name="policies.tick")
        assert (schedule.func, schedule.minutes, schedule.repeats) == (queue.TICK, 1, -1)
        assert pydoc.locate(schedule.func) is tasks.tick

    def test_knows_how_long_the_oldest_task_waits(self, script: Script) -> None:
        assert queue.oldest_waiting() is None
        tasks.request_refetch(NAME, None)
        waits = queue.oldest_waiting(timezone.now() + timedelta(minutes=1))
        assert waits is not None
        assert timedelta(seconds=59) < waits < timedelta(seconds=70)

    def test_a_task_may_take_as_long_as_its_fetch(self) -> None:
        assert queue.task_timeout() >= 70


def test_unused_is_half_a_year() -> None:
    assert timedelta(days=180) == UNUSED
