"""Rows that add up: whoever writes adds to what others have written, and no count is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Model

BATCH = 500
"""Rows of a statement."""

Merge = Callable[[str, str], str]
"""From the column and what is to be added to it: the SQL of what it becomes."""


def added(column: str, new: str) -> str:
    return f"{column} + {new}"


def earlier(column: str, new: str) -> str:
    return f"CASE WHEN {new} < {column} THEN {new} ELSE {column} END"


def later(column: str, new: str) -> str:
    return f"CASE WHEN {new} > {column} THEN {new} ELSE {column} END"


def upsert(
    model: type[Model],
    rows: Iterable[Mapping[str, Any]],
    unique: tuple[str, ...],
    merges: Mapping[str, Merge],
    *,
    returning: str = "",
) -> dict[tuple[Any, ...], Any]:
    """Insert `rows`, whose keys are the fields' column names; merge into those that exist.

    A row of the same `unique` columns must not come twice. They are written in the order of these
    columns, the same for all writers, so that none waits for the other in a ring. Returns the
    column `returning` by the `unique` ones, if one is named.
    """
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in unique))
    found: dict[tuple[Any, ...], Any] = {}
    for start in range(0, len(ordered), BATCH):
        found |= _upsert(model, ordered[start : start + BATCH], unique, merges, returning)
    return found


def _upsert(
    model: type[Model],
    rows: list[Mapping[str, Any]],
    unique: tuple[str, ...],
    merges: Mapping[str, Merge],
    returning: str,
) -> dict[tuple[Any, ...], Any]:
    quote = connection.ops.quote_name
    table, names = quote(model._meta.db_table), tuple(rows[0])
    fields = {field.column: field for field in model._meta.concrete_fields}
    columns = [fields[name] for name in names]
    row_sql = f"({', '.join(['%s'] * len(columns))})"
    merged = ", ".join(
        f"{quote(name)} = {merge(f'{table}.{quote(name)}', f'excluded.{quote(name)}')}"
        for name, merge in merges.items()
    )
    statement = (
        f"INSERT INTO {table} ({_list(names)}) VALUES {', '.join([row_sql] * len(rows))}"  # noqa: S608 - names of ours
        f" ON CONFLICT ({_list(unique)}) DO UPDATE SET {merged}"
    )
    if returning:
        statement += f" RETURNING {_list((*unique, returning))}"
    values = [
        field.get_db_prep_save(row[name], connection)
        for row in rows
        for name, field in zip(names, columns, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        answers = cursor.fetchall() if returning else []
    readers = [fields[name].to_python for name in unique]
    return {
        tuple(read(value) for read, value in zip(readers, answer, strict=False)): answer[-1]
        for answer in answers
    }


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(connection.ops.quote_name, names))
