"""`manage.py qcluster`: the queue's workers, and the clock of the periodic refresh."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from policies import occupancy, queue, schema


class Command(BaseCommand):
    help = "Works what is in the queue until Ctrl-C or SIGTERM."
    requires_system_checks: list[str] = []  # they load all pages, to stay in memory

    def handle(self, *args: Any, **options: Any) -> None:
        occupancy.share()
        schema.check()
        queue.run_cluster()
