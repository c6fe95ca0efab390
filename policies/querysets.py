"""Questions that several parts ask of `PolicyRecord`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connection, connections, models
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from django.db.models.functions import Collate

if TYPE_CHECKING:
    from policies.models import PolicyRecord

UNUSED = timedelta(days=180)
"""A policy that no mail server asked for in so long is no longer refreshed."""

BACKOFF_KEPT = timedelta(days=1)
"""How long after its end a row that backs off, and never held a policy, is kept."""

ROWS_AT_ONCE = 1000
"""Uses in one statement of SQLite's, which takes 32,766 parameters at most."""

REFRESHED_FROM = 3600
"""A max_age below this, in seconds, is not refreshed ahead but fetched when asked for."""


class PolicyRecordQuerySet(models.QuerySet["PolicyRecord"]):
    """Rows of the cache."""

    def by_use(self) -> PolicyRecordQuerySet:
        """Last use first, then by domain; what none has asked for comes last."""
        return self.order_by("-last_use_key", "domain")

    def locked(self) -> PolicyRecordQuerySet:
        """To be written by this transaction alone, in the order of their names' characters.

        All who write many rows take them in this order, or two wait for each other for ever.
        """
        if connection.vendor == "sqlite":
            return self.order_by("domain")  # whoever writes is alone
        # Databases of other languages sort otherwise than we do.
        return self.order_by(Collate("domain", "C")).select_for_update()

    def valid(self, now: datetime) -> PolicyRecordQuerySet:
        return self.filter(valid_end__gt=now)

    def due(self, now: datetime) -> PolicyRecordQuerySet:
        """What the refresh has to fetch by its plan: in use, and not being fetched."""
        return self._refreshed(now).filter(refresh_due__lte=now)

    def unplanned(self, now: datetime) -> PolicyRecordQuerySet:
        """The same without a plan, which counts as due: imported rows."""
        return self._refreshed(now).filter(refresh_due=None)

    def asked_for(self, now: datetime) -> PolicyRecordQuerySet:
        """What a job is to refetch, whatever its plan."""
        return self.filter(_is_free(now), job__isnull=False)

    def ending(self, now: datetime, span: timedelta) -> PolicyRecordQuerySet:
        """What ends within `span` and has to be fetched, by its plan, without one, or for a job."""
        is_wanted = Q(job__isnull=False) | Q(refresh_due=None) | Q(refresh_due__lte=now)
        return self._kept_fresh(now).filter(is_wanted, valid_end__gt=now, valid_end__lte=now + span)

    def _refreshed(self, now: datetime) -> PolicyRecordQuerySet:
        return self._kept_fresh(now).filter(job=None)

    def _kept_fresh(self, now: datetime) -> PolicyRecordQuerySet:
        return self.filter(
            _is_free(now), ~is_unused(now), backoff=False, max_age__gte=REFRESHED_FROM
        )

    def write_claimed(self, rows: Sequence[PolicyRecord], columns: Sequence[str]) -> int:
        """Write these columns of each row whose claim is still the row's; how many were.

        One statement run over all rows: `bulk_update` spends a second on what takes this some
        milliseconds, and checks no claim.
        """
        fields = self._fields_of(columns)
        quote = connection.ops.quote_name
        table = quote(self.model._meta.db_table)
        assignments = ", ".join(f"{quote(str(field.column))} = %s" for field in fields)
        statement = (
            f"UPDATE {table} SET {assignments},"  # noqa: S608 - names of ours
            " claim = '', claimed_until = NULL WHERE id = %s AND claim = %s"
        )
        database = connections[connection.alias]  # to go through the proxy costs each value more
        values = [
            [field.get_db_prep_save(getattr(row, field.attname), database) for field in fields]
            + [row.pk, row.claim]
            for row in rows
        ]
        with connection.cursor() as cursor:
            cursor.executemany(statement, values)
            return int(cursor.rowcount)

    def write_new(self, rows: Sequence[PolicyRecord], columns: Sequence[str]) -> None:
        """Insert rows of different domains, or write these columns of those that are there by now.

        What an operator wrote meanwhile stays. The rows learn no primary key by it.
        """
        if not rows:
            return
        fields = self._fields_of(["domain", "inserted", *columns])
        quote = connection.ops.quote_name
        names = [quote(str(field.column)) for field in fields]
        table = quote(self.model._meta.db_table)
        statement = (
            f"INSERT INTO {table} ({', '.join(names)})"  # noqa: S608 - names of ours
            f" VALUES ({', '.join(['%s'] * len(names))}) ON CONFLICT (domain) DO UPDATE SET "
            f"{', '.join(f'{name} = excluded.{name}' for name in names[2:])}"
            f" WHERE {table}.edited IS NULL"
        )
        database = connections[connection.alias]  # to go through the proxy costs each value more
        values = [
            [field.get_db_prep_save(getattr(row, field.attname), database) for field in fields]
            for row in rows
        ]
        with connection.cursor() as cursor:
            cursor.executemany(statement, values)

    def _fields_of(self, columns: Sequence[str]) -> list[models.Field[Any, Any]]:
        known = {field.attname: field for field in self.model._meta.concrete_fields}
        return [known[column] for column in columns]

    def write_uses(self, uses: Iterable[tuple[str, datetime, dict[str, Any]]]) -> None:
        """Move `last_use` of these domains forward, and write the columns that come with it."""
        # Most of them come at the same few moments.
        as_stored = lru_cache(maxsize=64)(connection.ops.adapt_datetimefield_value)
        values = [
            (
                domain,
                as_stored(at),
                fields["outcome_type"],
                fields["outcome_failure"],
                fields["outcome_reason"],
                as_stored(fields["outcome_at"]),
            )
            for domain, at, fields in uses
        ]
        write = _write_uses_at_once if connection.vendor == "sqlite" else _write_uses_in_order
        with connection.cursor() as cursor:
            write(cursor, connection.ops.quote_name(self.model._meta.db_table), values)


def _write_uses_at_once(
    cursor: CursorWrapper, table: str, values: Sequence[tuple[Any, ...]]
) -> None:
    """One statement for many rows: SQLite's module asks for the interpreter between any two steps,
    and whoever answers from memory then waits for it a thousand times."""
    row = f"({', '.join(['%s'] * 6)})"
    for start in range(0, len(values), ROWS_AT_ONCE):
        some = values[start : start + ROWS_AT_ONCE]
        statement = (
            "WITH used (domain, at, type, failure, reason, outcome_at) AS"  # noqa: S608 - a name of ours
            f" (VALUES {', '.join([row] * len(some))})"
            f" UPDATE {table} SET last_use = used.at, outcome_type = used.type,"
            " outcome_failure = used.failure, outcome_reason = used.reason,"
            f" outcome_at = used.outcome_at FROM used WHERE {table}.domain = used.domain"
            " AND (last_use IS NULL OR last_use < used.at)"
        )
        cursor.execute(statement, [value for each in some for value in each])


def _write_uses_in_order(
    cursor: CursorWrapper, table: str, values: Sequence[tuple[Any, ...]]
) -> None:
    """Row by row, in the order given, so that two machines never wait for each other in a ring."""
    statement = (
        f"UPDATE {table} SET last_use = %s, outcome_type = %s, outcome_failure = %s,"  # noqa: S608 - a name of ours
        " outcome_reason = %s, outcome_at = %s"
        " WHERE domain = %s AND (last_use IS NULL OR last_use < %s)"
    )
    cursor.executemany(statement, [(*each[1:], each[0], each[1]) for each in values])


def _is_free(now: datetime) -> Q:
    """Not being fetched by anyone."""
    return Q(claimed_until=None) | Q(claimed_until__lte=now)


def is_unused(now: datetime) -> Q:
    """Not asked for in 180 days, counted from the insertion where never asked for."""
    then = now - UNUSED
    return Q(last_use__isnull=False, last_use__lt=then) | Q(last_use=None, inserted__lt=then)
