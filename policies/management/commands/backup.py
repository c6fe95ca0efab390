"""`manage.py backup FILE`: a copy of the SQLite database, made while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from policies import backup


class Command(BaseCommand):
    help = "Copies the SQLite database to FILE while everything runs. Without the secret key."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="replace FILE if it exists")

    def handle(self, *args: Any, file: Path, force: bool, **options: Any) -> None:
        contents = backup.save(file, overwrite=force)
        self.stdout.write(f"{file}: {contents}")
