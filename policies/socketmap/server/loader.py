"""Rows for memory, read in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from policies.models import PolicyRecord
from policies.mtasts import Domain, parse_domain
from policies.mtasts.errors import DomainNameError
from policies.querysets import PolicyRecordQuerySet
from policies.socketmap.server.held import Columns, Held, held

BATCH = 500
"""Rows read at a time."""

FEW, TIMES = 25, 40
"""Changed rows read at a time: so few that no answer waits for long behind them; more only where
there would be so many batches else, for a change is to be answered within a second."""


class Row(NamedTuple):
    """A domain and its row; None where it has none."""

    name: Domain
    held: Held | None


def by_use(now: datetime) -> Iterator[list[Row]]:
    """All rows, last use first. One that is used meanwhile may be left out."""
    rows, after = PolicyRecord.objects.by_use(), Q()
    while page := _read(rows.filter(after)[:BATCH]):
        yield _rows(page, now)
        last = page[-1]
        beyond = Q(last_use_key__lt=last.last_use_key) | Q(domain__gt=last.domain)
        after = Q(last_use_key__lte=last.last_use_key) & beyond


def left_out(now: datetime, is_in_memory: Callable[[str], object]) -> Iterator[list[Row]]:
    """The rows whose A-label name is not in memory."""
    domains = PolicyRecord.objects.order_by().values_list("domain", flat=True)
    missing = [
        domain
        for domain in domains.iterator(chunk_size=2000)
        if (name := parsed(domain)) and not is_in_memory(name.ascii)
    ]
    for start in range(0, len(missing), BATCH):
        page = PolicyRecord.objects.filter(domain__in=missing[start : start + BATCH])
        yield _rows(_read(page), now)


def of_domains(domains: Iterable[str], now: datetime) -> Iterator[list[Row]]:
    """What these domains, as rows name them, have now."""
    names = [(domain, name) for domain in domains if (name := parsed(domain))]
    size = min(BATCH, max(FEW, len(names) // TIMES))
    for start in range(0, len(names), size):
        batch = names[start : start + size]
        page = PolicyRecord.objects.filter(domain__in=[domain for domain, _ in batch])
        found = {row.domain: held(row, now) for row in _read(page)}
        yield [Row(name, found.get(domain)) for domain, name in batch]


def parsed(domain: str) -> Domain | None:
    """The name of a row; None for what was written in its place past all checks."""
    try:
        return parse_domain(domain)
    except DomainNameError:
        return None


def _read(rows: PolicyRecordQuerySet) -> list[Columns]:
    return [Columns(*values) for values in rows.values_list(*Columns._fields)]


def _rows(page: Iterable[Columns], now: datetime) -> list[Row]:
    return [Row(name, held(row, now)) for row in page if (name := parsed(row.domain))]
