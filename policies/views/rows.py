"""Rows of the list: a policy, and what a fetch of it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max
from django.db.models.functions import Coalesce
from django.utils import timezone

from policies.alerts.kinds import Kind, of_bits
from policies.models import Fetch, PolicyRecord
from policies.socketmap.exceptions import Rule
from policies.tlsrpt import words
from policies.views import excepting

SOON, LATER = 1, 4
"""Seconds until an open row asks for itself again. A job has rows by the thousand, which wait."""


@dataclass(frozen=True, slots=True)
class Row:
    """A policy and its last fetch by an operator, as the list shows them.

    `state`: what its fetch is doing, where one is open; empty where none is.
    """

    record: PolicyRecord
    fetch: Fetch | None
    outcome: words.Outcome | None
    expired: bool
    state: str
    exception: Rule | None = None

    @property
    def pace(self) -> int:
        """Seconds until the row asks for itself again."""
        return SOON if self.fetch and self.fetch.is_open else LATER

    @property
    def alerts(self) -> str:
        """The kinds of its open alerts, in words."""
        kinds = of_bits(self.record.open_alerts or 0)
        return ", ".join(kind.words for kind in Kind if kind in kinds)


def rows(records: list[PolicyRecord]) -> list[Row]:
    """With each one's open fetch, or the last one that an operator asked for: two queries."""
    # By the index of sources, SQLite would read all that operators ever asked for.
    asked = Fetch.objects.alias(bare_source=Coalesce("source", "source")).filter(
        domain__in=[record.domain for record in records], bare_source=Fetch.Source.OPERATOR
    )
    last = asked.order_by().values("domain").annotate(last=Max("pk")).values("last")
    latest = {fetch.domain: fetch for fetch in Fetch.objects.filter(pk__in=last)}
    now = timezone.now()
    excepted = excepting.of_rows(records, now)
    return [
        Row(
            record,
            latest.get(record.domain),
            outcome(record),
            not record.is_valid(now),
            doing(record, latest.get(record.domain), now),
            excepted.get(record.domain),
        )
        for record in records
    ]


def doing(record: PolicyRecord, fetch: Fetch | None, now: datetime) -> str:
    """What a fetch that an operator asked for, by itself or with a job, is doing; else empty."""
    if fetch is not None and fetch.is_open:
        return fetch.state
    if record.job is None:
        return ""
    is_claimed = record.claimed_until is not None and record.claimed_until > now
    return Fetch.State.RUNNING if is_claimed else Fetch.State.QUEUED


def outcome(record: PolicyRecord) -> words.Outcome | None:
    return words.outcome(record.outcome_type, record.outcome_failure, record.outcome_reason)
