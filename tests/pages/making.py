"""Rows for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from policies.alerts.kinds import Kind
from policies.models import Alert, Fetch, PolicyRecord
from policies.models.policy import policy_fields
from policies.mtasts import parse_policy
from tests.worlds import ENFORCE

DAY = timedelta(days=1)


def unsaved(domain: str, text: str = ENFORCE, **fields: Any) -> PolicyRecord:
    """A row that holds this policy, fetched just now, and that none has asked for."""
    now = timezone.now()
    parsed = policy_fields(parse_policy(text))
    values = {"record_id": "1", "policy_text": text, "valid_end": now + DAY, "refresh_due": now}
    return PolicyRecord(domain=domain, **(values | parsed | fields))


def record(domain: str, text: str = ENFORCE, **fields: Any) -> PolicyRecord:
    """The same, stored."""
    row = unsaved(domain, text, **fields)
    row.save()
    return row


def backing_off(domain: str, **fields: Any) -> PolicyRecord:
    """A stored row whose fetch failed just now."""
    ours = {
        "version": "",
        "mode": "none",
        "mx": [],
        "max_age": 300,
        "backoff": True,
        "policy_text": "",
        "valid_end": timezone.now() + timedelta(minutes=5),
        "failure_type": "sts-policy-fetch-error",
        "failure_reason": "no-policy-served",
    }
    return record(domain, **(ours | fields))


def alert(domain: str, kind: Kind = Kind.RECORD_GONE, **fields: Any) -> Alert:
    """A stored alert, opened just now."""
    now = timezone.now()
    values = {
        "severity": str(kind.severity),
        "state": "suspected",
        "found_by": Fetch.Source.LOOKUP,
        "opened_at": now,
        "last_seen": now,
        "policy_end": now + DAY,
        "before_text": ENFORCE,
        "evidence": {
            "before": {"record_id": "1", "mode": "enforce", "max_age": 86_400, "mx": ["a.example"]},
            "dns": {"error": "no TXT record begins 'v=STSv1;'", "txt": []},
        },
    }
    return Alert.objects.create(domain=domain, kind=str(kind), **(values | fields))


def fetched_elsewhere(at: datetime) -> Fetch:
    """A fetch of another domain that worked then: DNS was well."""
    return Fetch.objects.create(
        domain="elsewhere.example",
        source=Fetch.Source.REFRESH,
        state=Fetch.State.DONE,
        outcome=Fetch.Outcome.FETCHED,
        queued_at=at,
    )


def many(count: int, *, used: datetime | None = None) -> list[PolicyRecord]:
    """So many rows, each with a fetch that an operator asked for."""
    rows = [unsaved(f"d{at:06}.example", last_use=used) for at in range(count)]
    PolicyRecord.objects.bulk_create(rows, batch_size=500)
    Fetch.objects.bulk_create(
        [
            Fetch(domain=row.domain, source=Fetch.Source.OPERATOR, state=Fetch.State.DONE)
            for row in rows
        ],
        batch_size=500,
    )
    return rows


def domains(rows: Iterable[PolicyRecord]) -> list[str]:
    return [row.domain for row in rows]
