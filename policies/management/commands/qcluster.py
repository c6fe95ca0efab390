"""`manage.py qcluster`: the queue's workers, and the clock of the periodic refresh."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connections

from policies import holders, occupancy, queue, schema, succession


class Command(BaseCommand):
    help = "Works what is in the queue until Ctrl-C or SIGTERM."
    requires_system_checks: list[str] = []  # they load all pages, to stay in memory

    def handle(self, *args: Any, **options: Any) -> None:
        occupancy.share()
        schema.check()
        holders.begin("worker", settings.MTASTS.data_dir / "run")
        succession.settle()
        connections.close_all()  # what is forked makes its own
        queue.run_cluster(succession.settle)
