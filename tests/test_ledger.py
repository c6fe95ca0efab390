"""What fetches came to, written many at a time."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from policies import cache, history, ledger, rows
from policies.ledger import Entry
from policies.models import Fetch, PolicyRecord, PolicyVersion
from tests.worlds import ENFORCE, NOON, TESTING, policy

pytestmark = pytest.mark.django_db


def new_row(domain: str, text: str = ENFORCE) -> PolicyRecord:
    row = PolicyRecord(domain=domain, inserted=NOON, valid_end=NOON)
    rows.set_policy(row, "1", policy(text), text, NOON)
    return row


def version(domain: str) -> history.Found:
    return history.Found(
        PolicyVersion(
            domain=domain,
            record_id="1",
            policy_text=ENFORCE,
            digest="0" * 64,
            mode="enforce",
            first_seen=NOON,
            found_by=Fetch.Source.LOOKUP,
        )
    )


def fetch(domain: str) -> Fetch:
    return Fetch(domain=domain, source=Fetch.Source.LOOKUP, state=Fetch.State.DONE)


def test_rows_versions_and_the_log_are_written_together() -> None:
    names = [f"d{number}.example" for number in range(5)]
    ledger.write([Entry(new_row(name), "", version(name), fetch(name)) for name in names])
    for model in (PolicyRecord, PolicyVersion, Fetch):
        assert sorted(model.objects.values_list("domain", flat=True)) == names


def test_a_row_that_another_machine_made_meanwhile_says_what_was_fetched_last() -> None:
    ledger.write([Entry(new_row("example.org", TESTING), "")])
    used = timezone.now()
    PolicyRecord.objects.update(last_use=used)
    ledger.write([Entry(new_row("example.org"), "")])
    row = PolicyRecord.objects.get()
    assert (row.mode, row.last_use) == ("enforce", used)


def test_a_row_that_an_operator_made_meanwhile_stays() -> None:
    row = new_row("example.org", TESTING)
    row.edited = NOON
    row.save()
    ledger.write([Entry(new_row("example.org"), "")])
    assert PolicyRecord.objects.get().policy_text == TESTING


def test_a_row_whose_claim_has_ended_is_not_written_nor_its_version() -> None:
    row = new_row("example.org", TESTING)
    row.claim = "somebody's"
    row.save()
    held = PolicyRecord.objects.get()
    rows.set_policy(held, "2", policy(), ENFORCE, NOON)
    ledger.write([Entry(held, "another one's", version("example.org"), fetch("example.org"))])
    assert PolicyRecord.objects.get().policy_text == TESTING
    assert not PolicyVersion.objects.exists()
    assert Fetch.objects.exists()


def test_a_row_is_written_under_its_claim_and_the_claim_ends() -> None:
    row = new_row("example.org", TESTING)
    row.claim = "ours"
    row.save()
    rows.set_policy(row, "2", policy(), ENFORCE, NOON)
    ledger.write([Entry(row, "ours")])
    row = PolicyRecord.objects.get()
    assert (row.policy_text, row.claim, row.claimed_until) == (ENFORCE, "", None)


def test_many_rows_are_locked_in_one_order_whatever_the_database_s_language() -> None:
    names = ["a-b.example", "a.example", "ab.example", "xn.example", "zürich.example"]
    for name in reversed(names):
        cache.upsert(name, "1", policy(), ENFORCE)
    with transaction.atomic(), CaptureQueriesContext(connection) as made:
        locked = [row.domain for row in PolicyRecord.objects.filter(domain__in=names).locked()]
    assert locked == sorted(names)
    if connection.vendor != "sqlite":
        assert 'COLLATE "C" ASC FOR UPDATE' in made[-1]["sql"]
