"""Forgetting what is older than OUTCOME_DAYS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from policies.forgetting import forget
from policies.models.outcome import (
    Outcome,
    OutcomeAllowance,
    OutcomeFailure,
    OutcomePolicy,
    OutcomeTotal,
)

CHUNK = 2000
"""Rows deleted at a time, so that writers need not wait for long."""

CHUNKS = 50
"""In one call; the rest goes with the next."""


def prune(now: datetime) -> None:
    """Delete days that are older than OUTCOME_DAYS before today, or as much as goes at once."""
    oldest = now.astimezone(UTC).date() - timedelta(days=settings.MTASTS.outcome_days)
    forget(OutcomeAllowance.objects.filter(hour__lt=now - timedelta(days=1)))
    totals = OutcomeTotal.objects.filter(day__lt=oldest)
    if not totals.values_list("pk", flat=True)[:1]:
        return  # written with what they sum up, and forgotten after it: there is nothing old
    old = Outcome.objects.filter(day__lt=oldest).order_by("day").values_list("pk", flat=True)
    for _ in range(CHUNKS):
        chosen = list(old[:CHUNK])
        if not chosen:
            forget(OutcomePolicy.objects.filter(last_day__lt=oldest))
            totals.delete()
            return
        with transaction.atomic():
            OutcomeFailure.objects.filter(outcome__in=chosen).delete()
            Outcome.objects.filter(pk__in=chosen).delete()
