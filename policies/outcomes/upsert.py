"""Rows that add up: whoever writes adds to what others have written, and no count is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from django.db import connection
from django.db.models import CharField, Field, IntegerField, Model

BATCH = 500
"""Rows of a statement."""

Column: TypeAlias = "Field[Any, Any]"

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
    table = connection.ops.quote_name(model._meta.db_table)
    fields = {field.column: field for field in model._meta.concrete_fields}
    columns = {name: _prepared(fields[name], [row[name] for row in rows]) for name in rows[0]}
    source, values = _source([fields[name] for name in columns], list(columns.values()))
    statement = (
        f"INSERT INTO {table} ({_list(columns)}) {source}"
        f" ON CONFLICT ({_list(unique)}) DO UPDATE SET {_merged(table, merges)}"
    )
    if returning:
        statement += f" RETURNING {_list((*unique, returning))}"
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        answers = cursor.fetchall() if returning else []
    readers = [fields[name].to_python for name in unique]
    return {
        tuple(read(value) for read, value in zip(readers, answer, strict=False)): answer[-1]
        for answer in answers
    }


def _prepared(field: Column, values: list[Any]) -> list[Any]:
    """As the database takes them. Most columns hold few different values."""
    if isinstance(field, (CharField, IntegerField)):
        return values
    known: dict[Any, Any] = {}
    for value in values:
        if value not in known:
            known[value] = field.get_db_prep_save(value, connection)
    return [known[value] for value in values]


def _source(fields: list[Column], columns: list[list[Any]]) -> tuple[str, list[Any]]:
    """The rows, in SQL, and its parameters."""
    if connection.vendor == "postgresql":
        # One parameter for each column: psycopg takes its time over thousands of them.
        arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
        return f"SELECT * FROM UNNEST({arrays})", list(columns)  # noqa: S608 - types of ours
    row = f"({', '.join(['%s'] * len(columns))})"
    values = [value for row in zip(*columns, strict=True) for value in row]
    return f"VALUES {', '.join([row] * len(columns[0]))}", values


def _merged(table: str, merges: Mapping[str, Merge]) -> str:
    quote = connection.ops.quote_name
    return ", ".join(
        f"{quote(name)} = {merge(f'{table}.{quote(name)}', f'excluded.{quote(name)}')}"
        for name, merge in merges.items()
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(connection.ops.quote_name, names))
