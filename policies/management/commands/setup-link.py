"""`manage.py setup-link`: a new link for the first login."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from policies import schema, setup


class Command(BaseCommand):
    help = "Makes a new link for the first login. It works once, for an hour."

    def handle(self, *args: Any, **options: Any) -> None:
        schema.check()
        try:
            self.stdout.write(setup.make_link())
        except setup.SetupClosed as closed:
            raise CommandError(str(closed)) from closed
