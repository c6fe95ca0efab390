"""Whether this node can do its work, and why not: `/readyz`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, connection

from policies import heartbeats, schema
from policies.models import Heartbeat

SILENT_AFTER = timedelta(minutes=3)
"""Workers give a sign of life each minute, the socketmap each ten seconds."""

RUNS_HERE = timedelta(days=1)
"""What gave none for so long was taken off this machine, and is not missed any more."""


def problems(now: datetime) -> list[str]:
    """What keeps this node from its work, in words; empty where nothing does."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        schema.check()
        return list(_silent(now))
    except CommandError as error:
        return [str(error)]
    except (DatabaseError, InterfaceError) as error:
        return [f"The database does not answer: {error}".strip()]


def _silent(now: datetime) -> Iterator[str]:
    """The processes of this machine that run here, and give no sign of life.

    But for the web, which tells by itself whether it answers.
    """
    here = Heartbeat.objects.filter(node=heartbeats.node(), at__gt=now - RUNS_HERE)
    here = here.exclude(kind="web")
    for beat in here.filter(at__lte=now - SILENT_AFTER).order_by("kind"):
        minutes = int((now - beat.at).total_seconds() // 60)
        yield f"The {beat.kind} of this machine gave no sign of life for {minutes} minutes."
