"""A newer Postfix: that of Debian 13, unpacked into a directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import find_program

SUITE = "trixie"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "/var/cache"), "mtastsweb-test")


def trixie() -> Path:
    """The root of the unpacked system; some 270 MB, made once and kept.

    Skips the test where there is no archive of Debian to take it from.
    """
    root = _CACHE / SUITE
    if not root.exists():
        _unpack(root)
    return root


def _unpack(root: Path) -> None:
    unfinished = root.with_suffix(f".{os.getpid()}")
    root.parent.mkdir(parents=True, exist_ok=True)
    command = [str(find_program("debootstrap")), "--variant=minbase", "--include=postfix"]
    try:
        done = subprocess.run(
            [*command, SUITE, str(unfinished)], capture_output=True, text=True, timeout=900
        )
        if done.returncode != 0:
            last = done.stdout.strip().rpartition("\n")[2]
            pytest.skip(f"debootstrap {SUITE}: {last}; it needs an archive of Debian")
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
