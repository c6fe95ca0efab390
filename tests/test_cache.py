"""The cache: what is stored, when, and what is left alone."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from policies import cache, ledger, querysets, rows
from policies.decide import no_policy_found
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    DomainNameError,
    FetchError,
    MultipleRecordsError,
    NoRecordError,
    PolicySyntaxError,
)
from tests.pages import plans
from tests.worlds import AT_ONCE, ENFORCE, NONE, NOON, TESTING, Script, policy, record

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"
BROKEN_HOST = FetchError("status 500", reason="http-status-500")


def row(domain: str = DOMAIN) -> PolicyRecord:
    return PolicyRecord.objects.get(domain=domain)


def is_absent(domain: str = DOMAIN) -> bool:
    return not PolicyRecord.objects.filter(domain=domain).exists()


class TestLookup:
    def test_finds_a_valid_policy_and_counts_as_use(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        script.pass_(minutes=5)
        found = cache.lookup(DOMAIN)
        assert found.policy == policy()
        assert row().last_use == script.now() == found.last_use

    def test_takes_any_form_of_the_name(self, script: Script) -> None:
        cache.upsert("münchen.example", "1", policy(), ENFORCE)
        assert cache.lookup("XN--MNCHEN-3YA.example.").domain == "münchen.example"

    def test_finds_nothing_where_nothing_is(self, script: Script) -> None:
        with pytest.raises(cache.NotFoundError, match=r"example\.org"):
            cache.lookup(DOMAIN)

    def test_finds_nothing_that_has_expired(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        script.pass_(seconds=86400)
        with pytest.raises(cache.NotFoundError):
            cache.lookup(DOMAIN)
        assert row().last_use is None

    def test_tells_of_a_recent_failure(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", None)
        with pytest.raises(cache.BackoffError, match=r"example\.org"):
            cache.lookup(DOMAIN)
        assert row().last_use == script.now()

    @pytest.mark.parametrize("name", ["", "a" * 300, "192.0.2.1", "[192.0.2.1]", "a b.example"])
    def test_refuses_what_is_no_domain_name(self, script: Script, name: str) -> None:
        for function in (cache.lookup, cache.get, cache.refetch):
            with pytest.raises(DomainNameError):
                function(name)
        with pytest.raises(DomainNameError):
            cache.upsert(name, "1", policy(), ENFORCE)
        assert not PolicyRecord.objects.exists()
        assert not script.looks


class TestUpsert:
    def test_stores_a_policy_and_is_no_use(self, script: Script) -> None:
        cache.upsert(DOMAIN, "7", policy(TESTING), TESTING)
        stored = row()
        assert stored.policy == policy(TESTING)
        assert (stored.policy_text, stored.record_id, stored.backoff) == (TESTING, "7", False)
        assert stored.inserted == stored.last_update == NOON
        assert stored.valid_end == NOON + timedelta(days=1)
        assert stored.last_use is None

    def test_replaces_a_policy_and_its_text_together(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        cache.lookup(DOMAIN)
        script.pass_(hours=1)
        cache.upsert(DOMAIN, "2", policy(TESTING), TESTING)
        stored = row()
        assert (stored.mode, stored.policy_text, stored.record_id) == ("testing", TESTING, "2")
        assert (stored.inserted, stored.last_use) == (NOON, NOON)
        assert stored.last_update == script.now()

    def test_backs_off_for_five_minutes_after_a_failure(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", None, "<html>")
        stored = row()
        assert stored.backoff
        assert (stored.mode, stored.max_age, stored.policy_text) == ("none", 300, "<html>")
        assert stored.valid_end == NOON + timedelta(minutes=5)
        assert stored.policy is None

    def test_a_failure_leaves_a_valid_policy_in_force(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        cache.upsert(DOMAIN, "2", None)
        stored = row()
        assert stored.policy == policy()
        assert (stored.backoff, stored.record_id, stored.failed_id) == (False, "1", "2")
        assert stored.retry_at == NOON + timedelta(minutes=5)

    def test_a_failure_after_the_end_backs_off_and_remembers_what_was_held(
        self, script: Script
    ) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        script.pass_(days=2)
        cache.upsert(DOMAIN, "1", None)
        stored = row()
        assert stored.backoff
        assert stored.held_enforce_since(NOON)
        assert not stored.held_enforce_since(NOON + timedelta(days=1))

    def test_a_new_failure_does_not_forget_what_was_held(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        script.pass_(days=2)
        cache.upsert(DOMAIN, "1", None)
        script.pass_(hours=1)
        cache.upsert(DOMAIN, "1", None)
        assert row().held_enforce_since(NOON)


class TestPolicyRecords:
    def test_come_by_last_use_then_by_domain_and_unused_last(self, script: Script) -> None:
        for domain in ("never.example", "b.example", "a.example", "late.example"):
            cache.upsert(domain, "1", policy(), ENFORCE)
        cache.lookup("b.example")
        cache.lookup("a.example")
        script.pass_(minutes=1)
        cache.lookup("late.example")
        assert [record.domain for record in cache.policy_records()] == [
            "late.example",
            "a.example",
            "b.example",
            "never.example",
        ]


class TestGet:
    def test_without_a_record_stores_nothing(self, script: Script) -> None:
        policy_, result, fresh = cache.get(DOMAIN)
        assert (policy_, result.policy.type, fresh) == (None, "no-policy-found", True)
        assert is_absent()
        assert not script.fetches

    def test_fetches_stores_and_counts_as_use(self, script: Script) -> None:
        script.publish()
        answer = cache.get(DOMAIN)
        assert (answer.policy, answer.fresh) == (policy(), True)
        stored = row()
        assert (stored.record_id, stored.policy_text) == ("1", ENFORCE)
        assert stored.last_use == NOON
        assert stored.outcome_type == "sts"
        fetch = Fetch.objects.get()
        assert (fetch.source, fetch.outcome, fetch.changed) == ("lookup", "fetched", True)

    def test_answers_from_the_cache_while_the_id_is_the_same(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.pass_(hours=23)
        assert cache.get(DOMAIN).fresh
        assert script.fetches == [DOMAIN]
        assert row().valid_end == NOON + timedelta(days=1)
        assert row().last_use == script.now()

    def test_fetches_a_new_id(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.publish(TESTING, "2")
        assert cache.get(DOMAIN).policy == policy(TESTING)
        assert (row().mode, row().record_id, row().policy_text) == ("testing", "2", TESTING)

    def test_an_expired_policy_is_fetched_anew_and_never_revived(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.pass_(days=2)
        script.fetch = BROKEN_HOST
        assert cache.get(DOMAIN).policy is None
        assert row().backoff

    def test_an_expired_policy_without_a_record_stays_untouched(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.pass_(days=2)
        script.look = NoRecordError("gone")
        assert cache.get(DOMAIN).result.policy.type == "no-policy-found"
        assert row().last_use == NOON

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (BROKEN_HOST, "cannot-fetch-policy+http-status-500"),
            (CertificateError("expired", reason="certificate-expired"), "certificate-expired"),
            (PolicySyntaxError("bad", line=1, received="<html>"), "policy-syntax-error"),
        ],
    )
    def test_backs_off_per_record_id(self, script: Script, error: Exception, reason: str) -> None:
        script.look, script.fetch = record(), error
        cache.get(DOMAIN)
        script.pass_(minutes=4)
        again = cache.get(DOMAIN)
        assert len(script.fetches) == 1
        assert again.result.failures[0].reason_code == f"back-off-after-recent-fetch-error+{reason}"
        script.publish(ENFORCE, "2")
        assert cache.get(DOMAIN).policy == policy()

    def test_tries_again_after_the_backoff(self, script: Script) -> None:
        script.look, script.fetch = record(), BROKEN_HOST
        cache.get(DOMAIN)
        script.pass_(minutes=5)
        script.publish()
        assert cache.get(DOMAIN).policy == policy()
        assert not row().backoff

    def test_keeps_what_did_not_parse_to_be_shown(self, script: Script) -> None:
        script.look = record()
        script.fetch = PolicySyntaxError("bad", line=1, received="<html>")
        cache.get(DOMAIN)
        assert row().policy_text == "<html>"

    def test_a_backoff_ends_with_its_record(self, script: Script) -> None:
        script.look, script.fetch = record(), BROKEN_HOST
        cache.get(DOMAIN)
        script.look = NoRecordError("gone")
        assert cache.get(DOMAIN).result.policy.type == "no-policy-found"
        assert is_absent()

    def test_a_failing_new_id_is_not_fetched_for_five_minutes(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.look, script.fetch = record("2"), BROKEN_HOST
        for _ in range(3):
            answer = cache.get(DOMAIN)
            assert answer.policy == policy()
            assert answer.result.failures[0].reason_code == (
                "cannot-fetch-policy+http-status-500+fallback-to-cached-policy"
            )
        assert len(script.fetches) == 2
        script.pass_(minutes=5)
        script.publish(TESTING, "2")
        assert cache.get(DOMAIN).policy == policy(TESTING)
        assert row().failed_id == row().failure_type == ""

    def test_a_transient_error_carries_its_result_and_stores_nothing(self, script: Script) -> None:
        script.look = DNSError("no answer", reason="timeout")
        with pytest.raises(cache.TransientError, match="no answer") as caught:
            cache.get(DOMAIN)
        assert caught.value.result.failures[0].reason_code == "dns-lookup+timeout"
        assert is_absent()

    def test_the_latest_outcome_is_on_the_row(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.look = MultipleRecordsError("two")
        cache.get(DOMAIN)
        assert row().outcome_failure == "sts-policy-fetch-error"
        assert row().outcome_reason == "multiple-mta-sts-records+fallback-to-cached-policy"

    def test_max_age_zero_is_used_once_and_ends(self, script: Script) -> None:
        script.publish(AT_ONCE)
        assert cache.get(DOMAIN).policy == policy(AT_ONCE)
        assert row().valid_end == NOON
        cache.get(DOMAIN)
        assert len(script.fetches) == 2

    def test_a_fetch_that_cannot_be_stored_is_answered_all_the_same(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        script.publish()

        def fail(*_: Any) -> None:
            raise DatabaseError("disk full")

        monkeypatch.setattr(ledger, "write", fail)
        with caplog.at_level(logging.ERROR):
            assert cache.get(DOMAIN).policy == policy()
        assert "not stored" in caplog.text
        assert is_absent()
        with pytest.raises(DatabaseError):
            cache.refetch(DOMAIN)


class TestClaims:
    def test_what_was_changed_during_a_fetch_is_not_overwritten(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.publish(TESTING, "2")
        script.during_fetch = lambda: cache.upsert(DOMAIN, "9", policy(NONE), NONE)
        cache.get(DOMAIN)
        assert (row().mode, row().record_id) == ("none", "9")

    def test_what_was_deleted_during_a_fetch_stays_deleted(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.publish(TESTING, "2")
        script.during_fetch = lambda: cache.delete([DOMAIN])
        assert cache.get(DOMAIN).policy == policy(TESTING)
        assert is_absent()

    def test_another_process_that_fetches_is_waited_for(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        PolicyRecord.objects.update(claim="theirs", claimed_until=NOON + timedelta(minutes=1))
        script.publish(TESTING, "2")
        script.during_wait = lambda: cache.upsert(DOMAIN, "2", policy(TESTING), TESTING)
        assert cache.get(DOMAIN).policy == policy(TESTING)
        assert len(script.fetches) == 1

    def test_an_operator_waits_for_another_s_lookup_too(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        PolicyRecord.objects.update(claim="theirs", claimed_until=NOON + timedelta(minutes=1))
        waits: list[int] = []

        def end() -> None:
            waits.append(len(script.fetches))
            PolicyRecord.objects.update(claim="", claimed_until=None)

        script.during_wait = end
        assert cache.refetch(DOMAIN).fetched is not None
        assert waits == [1]

    def test_a_claim_that_has_lapsed_does_not_count(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        PolicyRecord.objects.update(claim="theirs", claimed_until=NOON)
        script.publish(TESTING, "2")
        assert cache.get(DOMAIN).policy == policy(TESTING)
        assert (row().claim, row().claimed_until) == ("", None)

    def test_a_claim_is_not_waited_for_without_end(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script.publish()
        cache.get(DOMAIN)
        PolicyRecord.objects.update(claim="theirs", claimed_until=NOON + timedelta(days=1))
        script.publish(TESTING, "2")
        clock = iter(range(0, 10_000, 60))
        monkeypatch.setattr(cache.time, "monotonic", lambda: next(clock))
        assert cache.get(DOMAIN).policy == policy(TESTING)
        assert row().mode == "testing"

    def test_a_fetch_that_breaks_gives_its_claim_back(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.publish(TESTING, "2")
        script.fetch = RuntimeError("broken")
        with pytest.raises(RuntimeError):
            cache.get(DOMAIN)
        assert (row().claim, row().claimed_until) == ("", None)


class TestRefetch:
    def test_fetches_though_the_id_is_the_same_and_is_no_use(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.pass_(hours=1)
        script.publish(TESTING)
        assert cache.refetch(DOMAIN).changed
        assert (row().mode, row().last_use) == ("testing", NOON)

    def test_tells_when_the_text_is_as_before(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.pass_(hours=1)
        assert not cache.refetch(DOMAIN).changed
        assert row().valid_end == script.now() + timedelta(days=1)

    def test_stores_a_domain_that_nobody_asked_for(self, script: Script) -> None:
        script.publish()
        assert cache.refetch(DOMAIN).changed
        assert row().last_use is None

    def test_leaves_a_cached_policy_when_the_fetch_fails(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.fetch = BROKEN_HOST
        consulted = cache.refetch(DOMAIN)
        assert consulted.error is BROKEN_HOST
        assert row().policy == policy()
        assert row().outcome_reason.endswith("+fallback-to-cached-policy")

    def test_leaves_a_cached_policy_when_the_record_is_gone(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.look = NoRecordError("gone")
        consulted = cache.refetch(DOMAIN)
        assert consulted.error is script.look
        assert row().policy == policy()
        assert len(script.fetches) == 1

    def test_our_resolver_s_failure_is_not_the_domain_s_outcome(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.pass_(days=2)
        script.look = DNSError("no answer", reason="timeout")
        cache.refetch(DOMAIN)
        assert (row().outcome_type, row().outcome_failure) == ("sts", "")


def test_uses_are_counted_in_batches_and_never_move_back(script: Script) -> None:
    for domain in (DOMAIN, "b.example"):
        cache.upsert(domain, "1", policy(), ENFORCE)
    result = no_policy_found(DOMAIN)
    later = NOON + timedelta(minutes=3)
    cache.note_uses([cache.Use(DOMAIN, later, result), cache.Use("b.example", later, result)])
    cache.note_uses([cache.Use(DOMAIN, NOON, result), cache.Use("gone.example", later, result)])
    assert (row().last_use, row("b.example").last_use) == (later, later)
    assert (row().outcome_type, row().outcome_at) == ("no-policy-found", later)


def test_more_uses_than_go_into_one_statement_are_all_counted(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(querysets, "ROWS_AT_ONCE", 3)
    domains = [f"d{number}.example" for number in range(8)]
    for domain in domains:
        cache.upsert(domain, "1", policy(), ENFORCE)
    cache.note_uses([cache.Use(domain, NOON, no_policy_found(domain)) for domain in domains])
    assert [row(domain).last_use for domain in domains] == [NOON] * 8


def test_uses_are_written_by_the_index_of_domains(script: Script) -> None:
    cache.upsert(DOMAIN, "1", policy(), ENFORCE)
    with CaptureQueriesContext(connection) as captured:
        cache.note_uses([cache.Use(DOMAIN, NOON, no_policy_found(DOMAIN))])
    (written,) = [each["sql"] for each in captured if "SET last_use" in each["sql"]]
    if connection.vendor == "sqlite":  # elsewhere it is a plain UPDATE of one row after the other
        steps = plans.explain(written).steps
        assert any("policies_policyrecord" in step and "domain=?" in step for step in steps), steps


def test_delete_counts_what_there_was(script: Script) -> None:
    cache.upsert(DOMAIN, "1", policy(), ENFORCE)
    assert cache.delete([DOMAIN, "absent.example"]) == 1
    assert is_absent()


@pytest.mark.django_db(transaction=True)
def test_fifty_askers_of_a_new_domain_make_one_fetch(script: Script) -> None:
    script.publish()
    arrived = threading.Barrier(50)
    asked = threading.Event()
    script.during_fetch = lambda: asked.wait(5)

    def ask(_: int) -> cache.GetResult:
        arrived.wait(5)
        try:
            return cache.get(DOMAIN)
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(ask, range(50))
        asked.set()
        assert {answer.policy.mode for answer in answers if answer.policy} == {"enforce"}
    assert script.fetches == [DOMAIN]


def test_an_edit_does_not_take_the_place_of_a_row_that_came_meanwhile(script: Script) -> None:
    cache.upsert(DOMAIN, "1", policy(), ENFORCE)
    with pytest.raises(IntegrityError, match="cached already"):
        cache.edit(PolicyRecord(domain=DOMAIN), policy(NONE), text_edited=True)
    assert row().policy == policy()


class TestPlans:
    """When a row is fetched anew."""

    @pytest.mark.parametrize(
        ("max_age", "earliest", "latest"),
        [
            (3600, timedelta(minutes=27), timedelta(minutes=33)),
            (86400, timedelta(hours=10.8), timedelta(hours=13.2)),
            (31557600, timedelta(hours=21.6), timedelta(hours=26.4)),
        ],
    )
    def test_half_of_max_age_on_at_the_latest_a_day_and_jittered(
        self, max_age: int, earliest: timedelta, latest: timedelta
    ) -> None:
        plans = {rows.refresh_due(max_age, NOON) - NOON for _ in range(200)}
        assert earliest <= min(plans) < max(plans) <= latest
        assert len(plans) > 100

    def test_what_lives_less_than_an_hour_is_not_fetched_ahead(self) -> None:
        assert rows.refresh_due(3599, NOON) == NOON + timedelta(days=180)

    def test_failures_grow_the_pause_to_a_day(self) -> None:
        end = NOON + timedelta(days=100)
        pauses = [rows.retry_due(failures, end, NOON) - NOON for failures in range(1, 40)]
        assert timedelta(minutes=4.5) <= pauses[0] <= timedelta(minutes=5.5)
        assert all(pause >= timedelta(hours=21.6) for pause in pauses[9:])

    def test_a_retry_comes_before_the_policy_ends(self) -> None:
        end = NOON + timedelta(hours=1)
        assert rows.retry_due(30, end, NOON) == end - timedelta(minutes=5)
        assert rows.retry_due(30, NOON + timedelta(minutes=1), NOON) == NOON + timedelta(minutes=5)
        assert rows.retry_due(30, NOON, NOON) > NOON + timedelta(hours=21)
