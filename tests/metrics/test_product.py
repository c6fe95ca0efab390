"""The socketmap as a process: what it counts is told by another, and outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metrics.scraping import Samples, parsed, value
from tests.socketmap.server.process import Process, environment, free_port, manage
from tests.socketmap.server.running import wait_until


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    environ = environment(
        tmp_path, free_port(), MTASTS_NAMESERVERS="127.0.0.1:9", MTASTS_DNS_TIMEOUT="0.2"
    )
    manage(["migrate", "--verbosity", "0"], environ)
    return environ


@pytest.fixture
def socketmap(environ: dict[str, str]) -> Iterator[Process]:
    process = Process(environ)
    yield process
    process.kill()


def told(environ: dict[str, str]) -> Samples:
    return parsed(manage(["metrics"], environ))


def test_another_process_tells_what_the_socketmap_counted_and_a_kill_loses_nothing_told(
    socketmap: Process, environ: dict[str, str]
) -> None:
    with socketmap.client() as client:
        for key in ("example.org", "example.org", ".example.org"):
            assert client.ask(key) == b"NOTFOUND "
        wait_until(lambda: value(told(environ), "mtasts_replies_total", reply="notfound") == 3, 60)
        samples = told(environ)
        assert value(samples, "mtasts_lookups_total", result="resolver") == 2
        assert value(samples, "mtasts_socketmap_connections") == 1
        looks = "mtasts_dns_lookup_duration_seconds_count"
        assert value(samples, looks, process="socketmap", outcome="dns-error") >= 1
    socketmap.kill()
    after = told(environ)
    assert value(after, "mtasts_replies_total", reply="notfound") == 3
    assert value(after, "mtasts_socketmap_connections") == 0
