"""The log of what people did, which /audit/ shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

COMMAND_LINE = "command-line"
"""In place of a user: whoever may run commands needs no login. Nobody can log in as this."""

ASKED = "Asked for a refetch."
"""What the log says of it."""

BATCH = 500
"""Rows written at a time."""


def log(by: Any, rows: Sequence[Model], flag: int, says: str) -> None:
    """Note that `by` did this to `rows`; None for the command line.

    `flag`: ADDITION, CHANGE or DELETION of Django admin.
    """
    user = by if by is not None else _command_line()
    LogEntry.objects.log_actions(user.pk, rows, flag, change_message=says)


def log_each(by: Any, said: Sequence[tuple[Model, str]], flag: int) -> None:
    """The same of many rows, each with what is to be said of it; written in batches."""
    user = by if by is not None else _command_line()
    kinds = ContentType.objects.get_for_models(*{type(row) for row, _ in said})
    entries = [
        LogEntry(
            user_id=user.pk,
            content_type=kinds[type(row)],
            object_id=row.pk,
            object_repr=str(row)[:200],
            action_flag=flag,
            change_message=says,
        )
        for row, says in said
    ]
    LogEntry.objects.bulk_create(entries, batch_size=BATCH)


def log_about(by: Any, kind: type[Model], what: str, flag: int, says: str) -> None:
    """One entry about what `what` names: a row of this kind that is not there yet, or so many rows
    that an entry for each would hide all others."""
    user = by if by is not None else _command_line()
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(kind),
        object_repr=what[:200],
        action_flag=flag,
        change_message=says,
    )


def _command_line() -> User:
    # The log wants a user for each entry.
    user, _ = User.objects.get_or_create(
        username=COMMAND_LINE, defaults={"is_active": False, "password": "!"}
    )
    return user
