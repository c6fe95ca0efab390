"""Writing what was seen. Many writers at once lose no count, and the tables stay bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date

from django.conf import settings
from django.db import transaction

from policies.models.outcome import (
    Outcome,
    OutcomeFailure,
    OutcomePolicy,
    OutcomeTotal,
)
from policies.outcomes.batch import (
    Count,
    DetailKey,
    Kind,
    PolicyKey,
    Row,
    RowKey,
    Rows,
    Seen,
    digest,
    merge,
)
from policies.outcomes.bounds import bounded, stored_rows
from policies.outcomes.upsert import BATCH, added, earlier, later, upsert

COUNTS = {"count": added, "failed": added, "fallbacks": added}
TIMES = {"first_seen": earlier, "last_seen": later}


def record(seen: Iterable[Seen]) -> None:
    """Count lookups. Any number at once: equal ones become one row before they are written.

    All of it is counted or, where the database refuses it, nothing. With OUTCOME_DAYS 0 nothing
    is recorded.
    """
    rows = merge(seen) if settings.MTASTS.outcome_days else {}
    if not rows:
        return
    with transaction.atomic():
        stored = stored_rows(rows)
        rows = bounded(rows, stored)
        _write_policies(key for key in rows if key.stored not in stored)
        _write(rows)


def _write(rows: Rows) -> None:
    ids = upsert(
        Outcome,
        [_row_columns(key, row) for key, row in rows.items()],
        ("domain", "day", "kind", "source", "policy_id"),
        COUNTS | TIMES,
        returning="id",
    )
    upsert(
        OutcomeFailure,
        _details(rows, ids),
        ("outcome_id", "digest"),
        {"count": added} | TIMES,
    )
    upsert(
        OutcomeTotal,
        _totals(rows),
        ("day", "kind", "source", "result_type"),
        COUNTS,
    )


def _write_policies(keys: Iterable[RowKey]) -> None:
    """The policies that new rows refer to, where they are not there yet, or not for so long."""
    wanted: dict[str, tuple[PolicyKey, date]] = {}
    for key in keys:
        _, day = wanted.get(key.policy.digest, (None, key.day))
        wanted[key.policy.digest] = key.policy, max(key.day, day)
    there: dict[str, date] = {}
    digests = sorted(wanted)
    for start in range(0, len(digests), BATCH):
        found = OutcomePolicy.objects.filter(digest__in=digests[start : start + BATCH])
        there.update(found.values_list("digest", "last_day"))
    upsert(
        OutcomePolicy,
        [
            {
                "digest": policy.digest,
                "type": policy.type,
                "lines": policy.lines,
                "mx": policy.mx,
                "last_day": day,
            }
            for policy, day in wanted.values()
            if policy.digest not in there or there[policy.digest] < day
        ],
        ("digest",),
        {"last_day": later},
    )


def _row_columns(key: RowKey, row: Row) -> dict[str, object]:
    return {
        "domain": key.domain,
        "day": key.day,
        "kind": str(key.kind),
        "source": str(key.source),
        "policy_id": key.policy.digest,
        "count": row.count,
        "failed": row.failed,
        "fallbacks": row.fallbacks,
        "first_seen": row.first,
        "last_seen": row.last,
    }


def _details(rows: Rows, ids: dict[tuple[object, ...], int]) -> Iterator[dict[str, object]]:
    for key, row in rows.items():
        place = ids[key.domain, key.day, str(key.kind), str(key.source), key.policy.digest]
        for detail, count in row.details.items():
            yield _detail_columns(detail, count) | {"outcome_id": place, "day": key.day}


def _detail_columns(key: DetailKey, count: Count) -> dict[str, object]:
    return key._asdict() | {
        "digest": digest(key),
        "fallback": key.is_fallback,
        "count": count.count,
        "first_seen": count.first,
        "last_seen": count.last,
    }


def _totals(rows: Rows) -> list[dict[str, object]]:
    """What the rows add to the sums of their days: of all lookups, and of each result type."""
    totals: defaultdict[tuple[date, str, str, str], Counter[str]] = defaultdict(Counter)
    for key, row in rows.items():
        place = (key.day, str(key.kind), str(key.source))
        total = totals[*place, ""]
        total["count"] += row.count
        if not row.details:
            continue
        total["failed"] += row.failed
        total["fallbacks"] += row.fallbacks
        if key.kind is Kind.RESOLVER:
            continue
        for detail, count in row.details.items():
            total = totals[*place, detail.result_type]
            total["count"] += count.count
            total["failed"] += count.count
            total["fallbacks"] += count.count * detail.is_fallback
    return [
        {
            "day": day,
            "kind": kind,
            "source": source,
            "result_type": result_type,
            **{name: total[name] for name in COUNTS},
        }
        for (day, kind, source, result_type), total in totals.items()
    ]
