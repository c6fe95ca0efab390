"""What a test needs from the machine.

A test whose need is not met is skipped, with the reason and what brings it; with
`REQUIRE_ALL=1` every skip is a failure (tests/conftest.py).
"""

from __future__ import annotations

import os
import shutil

import pytest

SBIN = "/usr/sbin:/sbin"  # where Debian keeps Postfix, and few users look


def find_program(name: str) -> str | None:
    """Its path, or None."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}{SBIN}")


def needs_program(name: str, *, apt: str) -> pytest.MarkDecorator:
    """Marks a test or module that runs the program `name`, which the Debian package `apt` has."""
    return pytest.mark.skipif(
        find_program(name) is None, reason=f"no {name} here: apt-get install {apt}"
    )


def needs_root() -> pytest.MarkDecorator:
    """Marks a test that only root can run."""
    return pytest.mark.skipif(os.geteuid() != 0, reason="not root here: run it as root")
