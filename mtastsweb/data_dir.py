"""The data directory, and the secret key kept in it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.management.utils import get_random_secret_key

KEY_FILE = "secret-key"


def prepare(data_dir: Path) -> None:
    """Makes the directory, for its owner alone, unless it exists."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def secret_key(data_dir: Path) -> str:
    """The key kept in the directory; made on the first call (0600).

    Of many processes that start at once the first wins: a file is written aside and linked into
    place, which fails where one is there already, so that no reader sees half a key.
    """
    path = data_dir / KEY_FILE
    if not path.exists():
        descriptor, aside = tempfile.mkstemp(dir=data_dir, prefix=f".{KEY_FILE}-")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(get_random_secret_key())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(aside)
        finally:
            Path(aside).unlink()
    return path.read_text(encoding="ascii")
