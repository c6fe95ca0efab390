"""The periodic refresh: what it fetches, stores, keeps and deletes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import DataError

from policies import cache, claiming, history, jobs, leases, refresh, rows, saving, turns, world
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import DNSError, FetchError, NoRecordError
from policies.saving import Counts
from tests.worlds import ENFORCE, NONE, NOON, TESTING, Script, policy, record

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"
BROKEN_HOST = FetchError("status 500", reason="http-status-500")
GONE = NoRecordError("gone")


def row(domain: str = DOMAIN) -> PolicyRecord:
    return PolicyRecord.objects.get(domain=domain)


def cached(script: Script, text: str = ENFORCE, domain: str = DOMAIN, **columns: Any) -> None:
    """A policy that a mail server asked for now."""
    cache.upsert(domain, "1", policy(text), text)
    fields = {"last_use": script.now()} | columns
    PolicyRecord.objects.filter(domain=domain).update(**fields)


def refuse(monkeypatch: pytest.MonkeyPatch, domain: str) -> None:
    """Has the database refuse what comes of this domain."""
    save = history.save

    def saved(versions: Sequence[history.Found]) -> None:
        if any(found.version.domain == domain for found in versions):
            raise DataError("a value that no column takes")
        save(versions)

    monkeypatch.setattr(history, "save", saved)


def make_due(**columns: Any) -> None:
    PolicyRecord.objects.update(refresh_due=None, **columns)


class TestWhatIsFetched:
    def test_nothing_before_it_is_due(self, script: Script) -> None:
        cached(script)
        script.publish()
        assert refresh.run() == Counts()
        assert not script.fetches

    def test_what_is_due_though_the_id_is_the_same(self, script: Script) -> None:
        cached(script)
        script.publish(TESTING)
        script.pass_(hours=14)
        assert refresh.run() == Counts(due=1, refreshed=1)
        stored = row()
        assert (stored.mode, stored.policy_text) == ("testing", TESTING)
        assert stored.valid_end == script.now() + timedelta(days=1)
        assert stored.last_update == script.now()
        assert stored.last_use == NOON

    def test_what_has_no_plan(self, script: Script) -> None:
        cached(script)
        make_due()
        script.publish()
        assert refresh.run() == Counts(due=1, unchanged=1)
        assert row().refresh_due > script.now()

    def test_what_has_expired_and_is_still_in_use(self, script: Script) -> None:
        cached(script)
        script.pass_(days=10)
        script.publish(TESTING, "2")
        assert refresh.run() == Counts(due=1, refreshed=1)
        assert (row().mode, row().record_id) == ("testing", "2")

    def test_what_nobody_asked_for_yet(self, script: Script) -> None:
        cached(script, last_use=None)
        make_due()
        script.publish()
        assert refresh.run().due == 1
        assert row().last_use is None

    def test_not_what_backs_off(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", None)
        make_due()
        script.publish()
        assert refresh.run() == Counts()

    def test_not_what_lives_less_than_an_hour(self, script: Script) -> None:
        cached(script, ENFORCE.replace("86400", "3599"))
        make_due()
        script.publish()
        assert refresh.run() == Counts()

    def test_not_what_another_process_is_fetching(self, script: Script) -> None:
        cached(script)
        make_due(claim="theirs", claimed_until=NOON + timedelta(minutes=1))
        script.publish()
        assert refresh.run() == Counts()
        script.pass_(minutes=1)
        assert refresh.run() == Counts(due=1, unchanged=1)

    def test_all_of_many(self, script: Script) -> None:
        for number in range(300):
            cached(script, domain=f"d{number}.example")
        make_due()
        script.publish()
        assert refresh.run() == Counts(due=300, unchanged=300)
        assert not PolicyRecord.objects.exclude(claim="").exists()


class TestWhatFails:
    def test_keeps_the_policy_and_holds_the_id(self, script: Script) -> None:
        cached(script)
        make_due()
        script.look, script.fetch = record(), BROKEN_HOST
        assert refresh.run() == Counts(due=1, failed=1)
        stored = row()
        assert stored.policy == policy()
        assert stored.valid_end == NOON + timedelta(days=1)
        assert (stored.failed_id, stored.failures) == ("1", 1)
        assert stored.outcome_reason.endswith("+fallback-to-cached-policy")
        fetch = Fetch.objects.get()
        assert (fetch.source, fetch.outcome) == ("refresh", "failed")
        assert fetch.message == "status 500"

    def test_is_tried_again_after_a_growing_pause(self, script: Script) -> None:
        cached(script)
        PolicyRecord.objects.update(valid_end=NOON + timedelta(days=300), refresh_due=None)
        script.look, script.fetch = record(), BROKEN_HOST
        pauses = []
        for _ in range(10):
            assert refresh.run() == Counts(due=1, failed=1)
            pauses.append(row().refresh_due - script.now())
            script.time = row().refresh_due
        assert all(later > earlier for earlier, later in pairwise(pauses[:9]))
        assert pauses[-1] > timedelta(hours=21)
        script.publish()
        assert refresh.run() == Counts(due=1, unchanged=1)
        assert row().failures == 0

    def test_is_not_fetched_within_five_minutes_of_a_lookup_that_failed(
        self, script: Script
    ) -> None:
        cached(script)
        script.look, script.fetch = record("2"), BROKEN_HOST
        cache.get(DOMAIN)
        make_due()
        assert refresh.run() == Counts(due=1, failed=1)
        assert len(script.fetches) == 1

    def test_leaves_an_expired_row_alone_where_the_record_is_gone(self, script: Script) -> None:
        cached(script)
        script.pass_(days=2)
        script.look = GONE
        assert refresh.run() == Counts(due=1, failed=1)
        assert row().policy == policy()
        assert not script.fetches

    def test_our_resolver_s_trouble_is_not_the_domain_s_outcome(self, script: Script) -> None:
        cached(script)
        script.pass_(days=2)
        script.look = DNSError("no answer", reason="timeout")
        refresh.run()
        assert row().outcome_type == ""

    def test_one_row_that_breaks_us_does_not_end_the_round(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cached(script, domain="good.example")
        cached(script, domain="odd.example")
        make_due()
        script.publish()
        fetch = script.world.fetch

        def break_on_one(name: Any) -> Any:
            if name.ascii == "odd.example":
                raise RuntimeError("a fault of ours")
            return fetch(name)

        outside = world.World(script.world.look, break_on_one, script.now)
        assert refresh.run(outside=outside) == Counts(due=2, unchanged=1, failed=1)
        assert row("odd.example").refresh_due > script.now()
        assert row("odd.example").claim == ""

    def test_a_row_whose_domain_is_none_does_not_end_the_round(self, script: Script) -> None:
        cached(script, domain="good.example")
        cached(script, domain="odd.example")
        PolicyRecord.objects.filter(domain="odd.example").update(domain="odd..example")
        make_due()
        script.publish()
        assert refresh.run() == Counts(due=2, unchanged=1, failed=1)
        assert row("odd..example").refresh_due > script.now()

    def test_a_row_that_the_database_refuses_keeps_no_other_from_being_saved(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cached(script, domain="good.example")
        cached(script, domain="odd.example")
        script.publish(TESTING)
        refuse(monkeypatch, "odd.example")
        job = jobs.begin_refetch(PolicyRecord.objects.all(), "both", None)
        assert refresh.run() == Counts(due=2, refreshed=1, failed=1)
        assert row("good.example").mode == "testing"
        odd = row("odd.example")
        assert (odd.mode, odd.claim, odd.job) == ("enforce", "", None)
        assert odd.refresh_due == script.now() + timedelta(minutes=5)
        job.refresh_from_db()
        assert (job.state, job.done, job.failed) == ("done", 2, 1)
        assert {fetch.domain for fetch in Fetch.objects.all()} == {"good.example"}


class TestRecordsThatAreGone:
    def test_do_not_keep_a_policy_from_being_fetched(self, script: Script) -> None:
        cached(script)
        make_due()
        script.publish(TESTING)
        script.look = GONE
        assert refresh.run() == Counts(due=1, refreshed=1)
        assert (row().mode, row().record_id) == ("testing", "1")

    def test_remove_a_policy_of_mode_none(self, script: Script) -> None:
        cached(script, NONE)
        make_due()
        script.look = GONE
        assert refresh.run() == Counts(due=1, removed=1)
        assert not PolicyRecord.objects.exists()
        assert Fetch.objects.get().outcome == "removed"

    def test_remove_an_expired_policy_of_mode_none(self, script: Script) -> None:
        cached(script, NONE)
        script.pass_(days=2)
        script.look = GONE
        assert refresh.run() == Counts(due=1, removed=1)


class TestEdits:
    def test_hold_through_a_refresh(self, script: Script) -> None:
        cached(script)
        make_due(edited=NOON)
        script.pass_(hours=1)
        script.publish(TESTING)
        assert refresh.run() == Counts(due=1, unchanged=1)
        stored = row()
        assert (stored.policy_text, stored.edited) == (ENFORCE, NOON)
        assert stored.published_differs
        assert stored.valid_end == script.now() + timedelta(days=1)
        assert stored.last_update == script.now()

    def test_end_with_a_new_record_id(self, script: Script) -> None:
        cached(script)
        make_due(edited=NOON)
        script.publish(TESTING, "2")
        refresh.run()
        assert (row().policy_text, row().edited, row().published_differs) == (TESTING, None, False)

    def test_made_during_a_refresh_are_not_overwritten(self, script: Script) -> None:
        cached(script)
        make_due()
        script.publish(TESTING, "2")
        work = turns.work(turns.Turn(*_claimed(script)), script.world)
        edited = row()
        edited.policy_text = NONE
        cache.edit(edited, policy(NONE), text_edited=True)
        saving.save([work], Counts(), jobs.Progress())
        assert (row().mode, row().policy_text) == ("none", NONE)

    def test_of_a_deleted_row_do_not_bring_it_back(self, script: Script) -> None:
        cached(script)
        make_due()
        script.publish()
        work = turns.work(turns.Turn(*_claimed(script)), script.world)
        cache.delete([DOMAIN])
        saving.save([work], Counts(), jobs.Progress())
        assert not PolicyRecord.objects.exists()


def _claimed(script: Script) -> list[PolicyRecord]:
    return claiming.claim(10, script.now(), timedelta(minutes=1))


class TestWhatGoesByItself:
    """Expired and unused for 180 days, and back-offs a day after their end; nothing else."""

    @pytest.mark.parametrize(
        ("unused", "expired", "goes"),
        [(181, True, True), (181, False, False), (179, True, False)],
    )
    def test_a_policy(self, script: Script, unused: int, expired: bool, goes: bool) -> None:
        cached(script)
        end = NOON + timedelta(days=-1 if expired else 1)
        PolicyRecord.objects.update(last_use=NOON - timedelta(days=unused), valid_end=end)
        assert refresh.run().deleted == goes
        assert PolicyRecord.objects.exists() is not goes

    def test_an_unused_one_is_not_refreshed_and_waits_for_its_end(self, script: Script) -> None:
        cached(script)
        end = NOON + timedelta(days=30)
        PolicyRecord.objects.update(
            last_use=NOON - timedelta(days=181), valid_end=end, refresh_due=NOON
        )
        script.publish()
        assert refresh.run() == Counts()
        assert row().refresh_due == end

    @pytest.mark.parametrize(("inserted", "goes"), [(181, True), (179, False)])
    def test_one_that_was_never_used_counts_from_its_insertion(
        self, script: Script, inserted: int, goes: bool
    ) -> None:
        cached(script)
        PolicyRecord.objects.update(
            last_use=None,
            inserted=NOON - timedelta(days=inserted),
            valid_end=NOON - timedelta(days=1),
            refresh_due=NOON + timedelta(days=1),
        )
        assert refresh.run().deleted == goes

    @pytest.mark.parametrize(("hours", "goes"), [(23, False), (25, True)])
    def test_a_backoff_that_never_held_a_policy(
        self, script: Script, hours: int, goes: bool
    ) -> None:
        cache.upsert(DOMAIN, "1", None)
        script.pass_(hours=hours)
        assert refresh.run().deleted == goes

    def test_not_a_backoff_that_held_one(self, script: Script) -> None:
        cached(script)
        script.pass_(days=2)
        cache.upsert(DOMAIN, "1", None)
        script.pass_(days=2)
        assert refresh.run() == Counts()
        assert row().held_mode == "enforce"


class TestTick:
    def test_one_at_a_time(self, script: Script) -> None:
        cached(script)
        make_due()
        script.publish()
        with leases.held(jobs.LEASE, timedelta(minutes=1), NOON) as ours:
            assert ours
            assert refresh.tick() is None
        assert refresh.tick() == Counts(due=1, unchanged=1)

    def test_a_lease_that_was_not_given_back_lapses(self, script: Script) -> None:
        holder = leases.held(jobs.LEASE, timedelta(minutes=1), NOON)
        holder.__enter__()
        assert refresh.tick() is None
        script.pass_(minutes=1)
        assert refresh.tick() == Counts()

    def test_takes_on_no_more_after_its_time(self, script: Script) -> None:
        cached(script)
        make_due()
        script.publish()
        assert refresh.run(claiming_for=timedelta()) == Counts()
        assert row().refresh_due is None

    def test_stops_when_told_to_and_threads_save_what_comes_late(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cached(script)
        make_due()
        script.publish()
        stopping, let_go, saved = threading.Event(), threading.Event(), threading.Event()
        late: list[turns.Worked] = []

        def hang() -> None:
            stopping.set()
            let_go.wait(5)

        def save(worked: turns.Worked) -> None:
            late.append(worked)
            saved.set()

        script.during_fetch = hang
        monkeypatch.setattr(refresh, "SAVE_EVERY", 0.01)
        monkeypatch.setattr(refresh, "save_late", save)
        assert refresh.run(stopping=stopping.is_set) == Counts(due=1)
        assert row().claimed_until > NOON
        let_go.set()
        assert saved.wait(5)
        saving.save(late, Counts(), jobs.Progress())
        assert (row().claim, row().claimed_until) == ("", None)


@pytest.mark.django_db(transaction=True)
def test_a_slow_host_delays_no_other(script: Script) -> None:
    for number in range(20):
        cached(script, domain=f"d{number}.example")
    make_due()
    script.publish()
    saved = threading.Event()
    look, fetch = script.world.look, script.world.fetch

    def hang_on_one(name: Any) -> Any:
        if name.ascii == "d0.example":
            # Ends only when all the others have been saved, or this test fails.
            assert saved.wait(10)
        return fetch(name)

    def see_saved(batch: list[turns.Worked], counts: Counts, progress: jobs.Progress) -> None:
        save(batch, counts, progress)
        if counts.unchanged >= 19:
            saved.set()

    save = saving.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refresh, "save", see_saved)
        counts = refresh.run(outside=world.World(look, hang_on_one, script.now))
    assert counts == Counts(due=20, unchanged=20)


def test_the_plan_of_a_row_is_jittered_when_it_is_stored(script: Script) -> None:
    for number in range(50):
        cached(script, domain=f"d{number}.example")
    plans: set[datetime | None] = set(PolicyRecord.objects.values_list("refresh_due", flat=True))
    assert len(plans) > 40
    assert rows.JITTER == 0.1
