"""How long work learns that the product is being stopped."""

from __future__ import annotations

import os
import time
from pathlib import Path

from policies import stopping


def test_a_stop_is_announced_and_withdrawn(tmp_path: Path) -> None:
    assert not stopping.is_announced(tmp_path)
    stopping.announce(tmp_path)
    assert stopping.is_announced(tmp_path)
    stopping.withdraw(tmp_path)
    assert not stopping.is_announced(tmp_path)
    stopping.withdraw(tmp_path)


def test_a_leftover_of_a_killed_supervisor_does_not_count(tmp_path: Path) -> None:
    stopping.announce(tmp_path)
    then = time.time() - 600
    os.utime(tmp_path / "stopping", (then, then))
    assert not stopping.is_announced(tmp_path)
