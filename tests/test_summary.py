"""Counts of the whole cache."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policies import cache, exceptions, summary, tasks
from policies.alerts.kinds import Kind
from policies.models import PolicyRecord, Summary
from policies.mtasts import parse_domain
from policies.mtasts.errors import FetchError
from policies.socketmap.exceptions.checking import ALL
from tests.socketmap.exceptions.making import rule
from tests.worlds import ENFORCE, NONE, NOON, TESTING, Script, policy, record

pytestmark = pytest.mark.django_db


def test_counts_what_the_tiles_show(script: Script) -> None:
    for number, text in enumerate((ENFORCE, ENFORCE, TESTING, NONE)):
        cache.upsert(f"d{number}.example", "1", policy(text), text)
    PolicyRecord.objects.filter(domain="d0.example").update(valid_end=NOON + timedelta(days=9))
    script.look, script.fetch = record(), FetchError("500", reason="http-status-500")
    cache.get("down.example")
    tasks.request_refetch(parse_domain("d0.example"), None)
    PolicyRecord.objects.filter(domain="d1.example").update(open_alerts=Kind.RECORD_GONE.bit)
    exceptions.add(rule(), ALL, None, NOON)
    exceptions.add(rule(target="c.test", since=NOON + timedelta(hours=1)), ALL, None, NOON)
    assert summary.latest(NOON).counts == {
        "cached": 4,
        "enforce": 2,
        "testing": 1,
        "none": 1,
        "backoff": 1,
        "expiring": 3,
        "failing": 1,
        "alerts": 1,
        "exceptions": 1,
        "open": 1,
    }


def test_is_counted_anew_after_a_minute_and_later_where_it_takes_long(script: Script) -> None:
    summary.recount(NOON)
    summary.recount(NOON + timedelta(seconds=59))
    assert Summary.objects.get().at == NOON
    summary.recount(NOON + timedelta(seconds=60))
    assert Summary.objects.get().at == NOON + timedelta(seconds=60)
    Summary.objects.update(took=1.5)
    summary.recount(NOON + timedelta(minutes=5))
    assert Summary.objects.get().at == NOON + timedelta(seconds=60)
    summary.recount(NOON + timedelta(minutes=6, seconds=1))
    assert Summary.objects.get().at == NOON + timedelta(minutes=6, seconds=1)
