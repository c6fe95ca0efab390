"""How many policies have which latest outcome: counted by the tick, read by pages."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Count

from policies.models import OutcomeSummary, PolicyRecord


def summarize() -> None:
    """Count anew. Reads an index of the whole cache, so it is for the tick."""
    counted = _counted()
    with transaction.atomic():
        OutcomeSummary.objects.all().delete()
        OutcomeSummary.objects.bulk_create(counted)


def latest_counts() -> dict[tuple[str, str], int]:
    """How many policies have this policy type and this failure's result type as their latest
    outcome, as of the last tick; counted now where none has counted yet."""
    rows = list(OutcomeSummary.objects.all()) or _counted()
    return {(row.outcome_type, row.outcome_failure): row.count for row in rows}


def _counted() -> list[OutcomeSummary]:
    found = PolicyRecord.objects.order_by().values("outcome_type", "outcome_failure")
    return [OutcomeSummary(**row) for row in found.annotate(count=Count("pk"))]
