"""Rows inserted by a statement that is put together once.

`bulk_create` makes its statement anew for each call, which for a single row takes five times as
long as to run it, and a lookup stores one row in each of three tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, connections
from django.db.models import Field, Model


def insert(rows: Sequence[Model]) -> None:
    """Insert unsaved rows of one model. They learn no primary key by it."""
    if not rows:
        return
    model = type(rows[0])
    fields = _fields(model)
    database = connections[connection.alias]  # to go through the proxy costs each value more
    names = ", ".join(database.ops.quote_name(str(field.column)) for field in fields)
    table = database.ops.quote_name(model._meta.db_table)
    marks = ", ".join(["%s"] * len(fields))
    values = [
        [field.get_db_prep_save(field.pre_save(row, add=True), database) for field in fields]
        for row in rows
    ]
    with database.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names of ours
            values,
        )


@cache
def _fields(model: type[Model]) -> list[Field[Any, Any]]:
    """All columns that are written."""
    return [
        field
        for field in model._meta.concrete_fields
        if not field.primary_key and not field.generated
    ]
