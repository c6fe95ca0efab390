"""Servers that are stopped when their test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.socketmap.server.running import Running
from tests.worlds import Script


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def serve(script: Script, transactional_db: None) -> Iterator[Callable[..., Running]]:
    """Starts servers on the script's world: `serve(setting=OnDNSError.TEMP)`."""
    started: list[Running] = []

    def start(world: Any = None, **options: Any) -> Running:
        started.append(Running(world or script.world, **options))
        return started[-1]

    yield start
    for running in started:
        running.stop()
