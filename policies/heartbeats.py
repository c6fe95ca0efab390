"""Signs of life of the processes of all machines."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from policies import forgetting
from policies.models import Heartbeat

log = logging.getLogger(__name__)

FORGOTTEN = timedelta(days=7)

EVERY = 15.0
"""Seconds between the beats of a `Pulse`."""


def node() -> str:
    """This machine's name among the others (NODE_NAME)."""
    name: str = settings.MTASTS.node_name
    return name


def beat(kind: str, details: Mapping[str, object] | None = None) -> None:
    """This machine's process of this kind ("worker", "socketmap", "web") is at work.

    `details`: what it tells of it, as JSON takes it.
    """
    Heartbeat.objects.update_or_create(
        node=node(), kind=kind, defaults={"at": timezone.now(), "details": details or {}}
    )


def forget(now: datetime) -> None:
    """Forget what was silent for a week: machines that were taken out of service."""
    forgetting.forget(Heartbeat.objects.filter(at__lt=now - FORGOTTEN))


def age(kind: str) -> timedelta | None:
    """Since when this machine's process of this kind gave no sign; None: it never has."""
    beat = Heartbeat.objects.filter(node=node(), kind=kind).first()
    return timezone.now() - beat.at if beat else None


class Pulse(threading.Thread):
    """Beats for a process that has nothing else to do from time to time; ends with it."""

    def __init__(self, kind: str, every: float = EVERY) -> None:
        super().__init__(name="pulse", daemon=True)
        self.stopped = threading.Event()
        self._kind = kind
        self._every = every
        self._is_lost = False

    def run(self) -> None:
        while not self.stopped.is_set():
            self._try_to_beat()
            self.stopped.wait(self._every)

    def _try_to_beat(self) -> None:
        try:
            beat(self._kind)
            self._is_lost = False
        except (DatabaseError, InterfaceError) as error:
            if not self._is_lost:  # once, and not each quarter of a minute
                log.warning("no sign of life", extra={"kind": self._kind, "error": str(error)})
            self._is_lost = True
        finally:
            connections.close_all()  # beats are too seldom to keep one
