"""Signs of life of the processes of all machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from policies.models import Heartbeat

FORGOTTEN = timedelta(days=7)


def node() -> str:
    """This machine's name among the others (NODE_NAME)."""
    name: str = settings.MTASTS.node_name
    return name


def beat(kind: str, details: Mapping[str, object] | None = None) -> None:
    """This machine's process of this kind ("worker", "socketmap") is at work.

    `details`: what it tells of it, as JSON takes it.
    """
    Heartbeat.objects.update_or_create(
        node=node(), kind=kind, defaults={"at": timezone.now(), "details": details or {}}
    )


def forget(now: datetime) -> None:
    """Forget what was silent for a week: machines that were taken out of service."""
    Heartbeat.objects.filter(at__lt=now - FORGOTTEN).delete()


def age(kind: str) -> timedelta | None:
    """Since when this machine's process of this kind gave no sign; None: it never has."""
    beat = Heartbeat.objects.filter(node=node(), kind=kind).first()
    return timezone.now() - beat.at if beat else None
