"""The laboratory as fixtures; tests that use them are skipped where `cryptography` is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.lab import Lab


@pytest.fixture(scope="session")
def lab_server() -> Iterator[Lab]:
    """One laboratory for the whole run. Tests take `lab` instead."""
    pytest.importorskip("cryptography", reason="pip install -r requirements-dev.txt")
    pytest.importorskip("dns")
    from tests.lab.lab import Lab

    with Lab(addresses=8) as lab:
        yield lab


@pytest.fixture
def lab(lab_server: Lab) -> Iterator[Lab]:
    """The laboratory, empty before and after."""
    lab_server.reset()
    yield lab_server
    lab_server.reset()
