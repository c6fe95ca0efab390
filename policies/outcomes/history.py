"""What befell one domain, day by day: for its page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Max, Min, Sum

from policies.models import Outcome, OutcomeFailure
from policies.outcomes.days import Day, Numbers, filled, total
from policies.tlsrpt import words
from policies.tlsrpt.advice import Advice, advice, consequence

DAYS = 90


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which lookups failed, in words."""

    outcome: words.Outcome
    advice: Advice
    consequence: str
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class History:
    """The last 90 days, oldest first, and why lookups failed in them, latest cause first."""

    days: list[Day]
    causes: list[Cause]

    @property
    def counted(self) -> list[Day]:
        """The days that have lookups, latest first."""
        return [day for day in reversed(self.days) if day.numbers.count]

    @property
    def total(self) -> Numbers:
        return total(self.days)


def history(domain: str, now: datetime) -> History:
    """Of a domain as rows name it: two queries."""
    today = now.astimezone(UTC).date()
    since = today - timedelta(days=DAYS - 1)
    return History(_days(domain, since, today), _causes(domain, since))


def _days(domain: str, since: date, today: date) -> list[Day]:
    rows = Outcome.objects.filter(domain=domain, kind=Outcome.Kind.DOMAIN, day__gte=since)
    numbers: defaultdict[date, Numbers] = defaultdict(Numbers)
    for row in rows.only("day", "source", "count", "failed", "fallbacks"):
        asked = row.count if row.source == Outcome.Source.LOOKUP else 0
        numbers[row.day] += Numbers(row.successes, row.fallbacks, row.failures, asked)
    return filled(numbers, since, today)


def _causes(domain: str, since: date) -> list[Cause]:
    details = OutcomeFailure.objects.filter(
        outcome__domain=domain, outcome__kind=Outcome.Kind.DOMAIN, outcome__day__gte=since
    )
    found = details.values("result_type", "reason").annotate(
        times=Sum("count"), first=Min("first_seen"), last=Max("last_seen")
    )
    return [
        Cause(
            words.failure(row["result_type"], row["reason"]),
            advice(row["result_type"], row["reason"]),
            consequence(row["reason"]),
            row["times"],
            row["first"],
            row["last"],
        )
        for row in found.order_by("-last", "result_type", "reason")
    ]
