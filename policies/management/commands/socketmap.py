"""`manage.py socketmap`: the policy server for Postfix (docs/postfix.md)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from policies import claiming, holders, occupancy, schema
from policies.socketmap.server.listeners import CannotListen
from policies.socketmap.server.run import run


class Command(BaseCommand):
    help = "Answers Postfix on SOCKETMAP_LISTEN, or on the sockets of a systemd socket unit."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        occupancy.share()
        schema.check()
        holders.begin("socketmap", settings.MTASTS.data_dir / "run")
        claiming.release_dead()
        connection.close()  # the server lends connections of its own
        try:
            run(settings.MTASTS)
        except CannotListen as error:
            raise CommandError(str(error)) from error
