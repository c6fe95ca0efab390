"""The clock of the running product jumps by an hour, forwards and back, and all of it goes on."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults import whole
from tests.faults.conftest import NEW_REPLY, OLD_REPLY, MakeProduct, is_idle, refreshed
from tests.faults.lookups import Lookups
from tests.faults.product import Product
from tests.needs import needs_program
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("faults"),
    needs_program("cc", apt="gcc libc6-dev"),
]

HOUR = timedelta(hours=1)
MINUTES = timedelta(minutes=3)
"""A process that has given a sign within so long is at work: the tick comes each minute."""

SOON = 120.0
"""Seconds after which all goes on: a tick is due each minute, and looked for twice in it."""


class Clock:
    """The one that a product sees: ours, put forward or back."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ahead"
        self._library = folder / "clock.so"
        self.put(timedelta())
        source = Path(__file__).with_name("clock.c")
        subprocess.run(
            ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self._library, source],
            check=True,
        )

    def put(self, ahead: timedelta) -> None:
        """All processes see it at once; their monotonic clocks go on."""
        self._ahead = ahead
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(struct.pack("l", int(ahead.total_seconds())))

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    @property
    def environ(self) -> dict[str, str]:
        """Of the programs that are to see it."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_FILE": str(self._path)}


def test_an_hour_forwards_and_back(
    make_product: MakeProduct, domains: list[str], tmp_path: Path
) -> None:
    clock = Clock(tmp_path)
    product = make_product(REFRESH_RATE="10", MTASTS_FETCH_TIMEOUT="15")
    product.environ |= clock.environ
    with Lookups(product.port, domains) as lookups:
        product.start()
        broken = lookups.broken  # until it was up
        for ahead in (HOUR, timedelta()):
            _begin_refresh(product)
            clock.put(ahead)
            _goes_on(product, clock, lookups)
        _until(lambda: refreshed(product) == len(domains))
    assert set(lookups.answers) <= {NEW_REPLY, OLD_REPLY}
    assert lookups.broken == broken
    _until(lambda: is_idle(product))
    assert product.stop() == 0
    assert not product.processes()
    whole.check(product, domains)


def _begin_refresh(product: Product) -> None:
    """Have all policies due by either clock, and the refresh amid them."""
    _until(lambda: is_idle(product))
    due, done = datetime.now(UTC) - timedelta(minutes=5), _refreshes(product)
    product.database.rows("UPDATE policies_policyrecord SET refresh_due = ?", f"{due:%F %T}")
    product.tick()
    _until(lambda: _refreshes(product) > done + 20)


def _refreshes(product: Product) -> int:
    return product.database.number(
        "SELECT COUNT(*) FROM policies_fetch WHERE source = 'refresh' AND outcome = 'fetched'"
    )


def _goes_on(product: Product, clock: Clock, lookups: Lookups) -> None:
    """Refresh, ticks, heartbeats, web, mail servers' answers, and what operators ask for."""
    done, answers = _refreshes(product), lookups.total
    _until(lambda: _refreshes(product) > done + 100)
    _until(lambda: lookups.total > answers + 100)
    _until(lambda: _tells(product, clock, "worker") and _tells(product, clock, "socketmap"))
    _until(lambda: _ticks_soon(product, clock))
    product.call(
        "from policies import tasks; from policies.mtasts import parse_domain;"
        " tasks.request_refetch(parse_domain('d399.lab.test'), None)"
    )
    _until(lambda: not _open_fetches(product))
    assert product.answers_web()


def _tells(product: Product, clock: Clock, kind: str) -> bool:
    """Whether this process gave a sign lately, by its own clock."""
    rows = product.database.rows("SELECT at FROM policies_heartbeat WHERE kind = ?", kind)
    return any(abs(clock.now() - _moment(at)) < MINUTES for (at,) in rows)


def _ticks_soon(product: Product, clock: Clock) -> bool:
    ((planned,),) = product.database.rows(
        "SELECT next_run FROM django_q_schedule WHERE func = 'policies.tasks.tick'"
    )
    return abs(_moment(planned) - clock.now()) < MINUTES


def _moment(stored: str) -> datetime:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)


def _open_fetches(product: Product) -> int:
    return product.database.number("SELECT COUNT(*) FROM policies_fetch WHERE state <> 'done'")


def _until(is_so: Callable[[], bool]) -> None:
    wait_until(is_so, SOON, pause=0.1)
