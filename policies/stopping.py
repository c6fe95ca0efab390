"""How work that takes long learns that the product is being stopped.

The queue's workers finish what they are at before they stop, and hear nothing meanwhile. So the
supervisor leaves a file beside its locks, and whoever works long looks for it.
"""

from __future__ import annotations

import time
from pathlib import Path

_NAME = "stopping"
_HOLDS = 300.0
"""Seconds after which the file is a leftover: a stop takes no longer."""


def announce(run_dir: Path) -> None:
    """The product is being stopped."""
    (run_dir / _NAME).touch()


def withdraw(run_dir: Path) -> None:
    """It has stopped, or it starts."""
    (run_dir / _NAME).unlink(missing_ok=True)


def is_announced(run_dir: Path) -> bool:
    """Whether the product is being stopped."""
    try:
        age = time.time() - (run_dir / _NAME).stat().st_mtime
    except FileNotFoundError:
        return False
    return age < _HOLDS
