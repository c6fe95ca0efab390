"""The log of what people did, which /audit/ shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import Model

COMMAND_LINE = "command-line"
"""In place of a user: whoever may run commands needs no login. Nobody can log in as this."""


def log(by: Any, rows: Sequence[Model], flag: int, says: str) -> None:
    """Note that `by` did this to `rows`; None for the command line.

    `flag`: ADDITION, CHANGE or DELETION of Django admin.
    """
    user = by if by is not None else _command_line()
    LogEntry.objects.log_actions(user.pk, rows, flag, change_message=says)


def _command_line() -> User:
    # The log wants a user for each entry.
    user, _ = User.objects.get_or_create(
        username=COMMAND_LINE, defaults={"is_active": False, "password": "!"}
    )
    return user
