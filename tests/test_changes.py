"""Every change of a policy is seen, whoever makes it and however."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.models import F
from django.utils import timezone

from policies import cache, changes
from policies.changes import EVERYTHING, EXCEPTION_WATCHED, EXCEPTIONS, WATCHED, Watch
from policies.models import Change, PolicyException, PolicyRecord
from tests.worlds import ENFORCE, TESTING, policy

pytestmark = pytest.mark.django_db(transaction=True)

Poll = Callable[[], frozenset[str]]


class Time:
    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def poll(time: Time) -> Iterator[Poll]:
    """Looks for changes on a connection of its own, as another process does."""
    with ThreadPoolExecutor(1) as thread:
        watch = Watch(time)
        assert thread.submit(watch.poll).result() == frozenset()
        yield lambda: thread.submit(watch.poll).result()
        thread.submit(connections.close_all).result()


def row(domain: str = "example.org", **fields: object) -> PolicyRecord:
    return PolicyRecord.objects.create(domain=domain, valid_end=timezone.now(), **fields)


def test_what_the_cache_stores_is_seen_once(poll: Poll) -> None:
    cache.upsert("example.org", "1", policy(), ENFORCE)
    assert poll() == {"example.org"}
    assert poll() == frozenset()


def test_a_policy_that_is_replaced_is_seen(poll: Poll) -> None:
    cache.upsert("example.org", "1", policy(), ENFORCE)
    poll()
    cache.upsert("example.org", "2", policy(TESTING), TESTING)
    assert poll() == {"example.org"}


def test_rows_made_and_deleted_in_bulk_are_seen(poll: Poll) -> None:
    domains = {f"d{number}.example" for number in range(50)}
    PolicyRecord.objects.bulk_create(
        [PolicyRecord(domain=domain, valid_end=timezone.now()) for domain in domains]
    )
    assert poll() == domains
    PolicyRecord.objects.all().delete()
    assert poll() == domains


OTHER_VALUES = {
    "domain": "other.example",
    "valid_end": timezone.now() + timedelta(days=3),
    "backoff": True,
    "record_id": "2",
    "mode": "enforce",
    "mx": ["mx.example.org"],
    "max_age": 7,
    "policy_text": "text",
    "edited": timezone.now(),
    "held_mode": "enforce",
    "held_end": timezone.now(),
}


@pytest.mark.parametrize("column", WATCHED)
def test_each_column_that_decides_is_watched(poll: Poll, column: str) -> None:
    row()
    poll()
    PolicyRecord.objects.update(**{column: OTHER_VALUES[column]})
    assert "example.org" in poll()


def test_a_row_that_is_renamed_is_seen_under_both_names(poll: Poll) -> None:
    row()
    poll()
    PolicyRecord.objects.update(domain="other.example")
    assert poll() == {"example.org", "other.example"}


def test_plain_sql_is_seen(poll: Poll) -> None:
    row()
    poll()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE policies_policyrecord SET mode = 'testing'")
    assert poll() == {"example.org"}


def test_uses_outcomes_claims_and_plans_are_no_change(poll: Poll) -> None:
    row()
    poll()
    now = timezone.now()
    PolicyRecord.objects.update(
        last_use=now, outcome_type="sts", outcome_at=now, claim="x", claimed_until=now,
        refresh_due=now, failures=F("failures") + 1, last_update=now, retry_at=now,
    )  # fmt: skip
    PolicyRecord.objects.update(mode=F("mode"))
    assert poll() == frozenset()


def test_what_is_undone_is_not_seen(poll: Poll) -> None:
    with transaction.atomic():
        row()
        transaction.set_rollback(True)
    assert poll() == frozenset()


@pytest.mark.postgres
def test_a_table_that_is_emptied_at_once_is_seen(poll: Poll) -> None:
    row()
    poll()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE policies_policyrecord CASCADE")
    assert poll() == {EVERYTHING}


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """A thread with a connection of its own."""
    with ThreadPoolExecutor(1) as thread:
        yield thread
        thread.submit(connections.close_all).result()


@pytest.mark.postgres
def test_a_transaction_that_ends_late_is_seen(poll: Poll, elsewhere: ThreadPoolExecutor) -> None:
    with transaction.atomic():
        row("late.example")
        elsewhere.submit(row, "early.example").result()
        assert poll() == {"early.example"}
        assert poll() == frozenset()
    assert poll() == {"late.example"}
    assert poll() == frozenset()


@pytest.mark.postgres
def test_a_transaction_that_began_before_the_watch_is_seen(elsewhere: ThreadPoolExecutor) -> None:
    watch = Watch()
    with transaction.atomic():
        row("late.example")
        elsewhere.submit(row, "early.example").result()
        assert elsewhere.submit(watch.poll).result() == frozenset()
    assert elsewhere.submit(watch.poll).result() == {"late.example"}


def test_after_a_long_pause_everything_may_have_changed(poll: Poll, time: Time) -> None:
    time.now += changes.KEPT
    assert poll() == {EVERYTHING}
    row()
    assert poll() == {"example.org"}


def test_what_everybody_has_read_is_forgotten() -> None:
    row()
    changes.prune(timezone.now())
    assert Change.objects.filter(domain="example.org").exists()
    changes.prune(timezone.now() + changes.KEPT + timedelta(minutes=1))
    assert not Change.objects.exists()


def exception(target: str = "example.org", **fields: object) -> PolicyException:
    given = {"scope": "domain", "action": "skip", "reason": "r", "owner": "o"} | fields
    return PolicyException.objects.create(target=target, **given)


def test_an_exception_that_is_made_or_deleted_is_seen(poll: Poll) -> None:
    exception()
    assert poll() == {EXCEPTIONS}
    assert poll() == frozenset()
    PolicyException.objects.all().delete()
    assert poll() == {EXCEPTIONS}


OTHER_WORDS = {
    "scope": "suffix",
    "target": ".example.org",
    "action": "pin",
    "policy_text": "text",
    "level": "secure",
    "match": ["mx.example.org"],
    "reason": "another",
    "owner": "another",
    "since": timezone.now() + timedelta(hours=1),
    "until": timezone.now() + timedelta(hours=2),
    "ended": timezone.now(),
}


@pytest.mark.parametrize("column", EXCEPTION_WATCHED)
def test_each_column_of_an_exception_that_counts_is_watched(poll: Poll, column: str) -> None:
    exception()
    poll()
    PolicyException.objects.update(**{column: OTHER_WORDS[column]})
    assert poll() == {EXCEPTIONS}


def test_that_an_exception_was_used_is_no_change(poll: Poll) -> None:
    exception()
    poll()
    PolicyException.objects.update(uses=F("uses") + 1, last_use=timezone.now())
    assert poll() == frozenset()


def test_plain_sql_about_exceptions_is_seen(poll: Poll) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO policies_policyexception (scope, target, action, reason, owner)"
            " VALUES ('domain', 'example.org', 'skip', 'r', 'o')"
        )
    assert poll() == {EXCEPTIONS}


def test_exceptions_are_no_changes_of_policies(poll: Poll) -> None:
    before = changes.newest()
    exception()
    assert changes.count_since(before) == 0


@pytest.mark.postgres
def test_exceptions_that_are_emptied_at_once_are_seen(poll: Poll) -> None:
    exception()
    poll()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE policies_policyexception")
    assert poll() == {EXCEPTIONS}
