"""`manage.py restore FILE`: a backup in place of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from mtastsweb.environment import PROGRAM
from policies import backup


class Command(BaseCommand):
    help = "Puts a backup in place of the SQLite database, and keeps the old one beside it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--yes", action="store_true", help="do it; else FILE is only looked at")

    def handle(self, *args: Any, file: Path, yes: bool, **options: Any) -> None:
        if not yes:
            self.stdout.write(f"{file}: {backup.look_at(file)}")
            raise CommandError("Nothing was changed. With --yes this takes the database's place.")
        contents, kept = backup.put_back(file, timezone.now())
        self.stdout.write(f"Restored: {contents}.")
        if kept is not None:
            self.stdout.write(f"The database that was there is kept: {kept}")
        if contents.due:
            self.stdout.write(f"The backup is of an earlier version: run `{PROGRAM} migrate`.")
