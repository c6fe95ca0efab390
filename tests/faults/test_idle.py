"""What the whole product needs while nothing is to be done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.mtasts import parse_policy
from tests.faults.conftest import NEW, MakeProduct, is_idle
from tests.faults.product import Product
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

POLICIES = 20_000
BOUND = 300
"""MiB: what all processes have in common counted once."""


def test_memory_with_twenty_thousand_policies(make_product: MakeProduct) -> None:
    product = make_product(filled=False)
    later = datetime.now(UTC) + timedelta(days=1)
    names = [f"d{number}.lab.test" for number in range(POLICIES)]
    product.database.store(names, NEW, parse_policy(NEW), later)
    product.start()
    wait_until(lambda: product.database.number("SELECT COUNT(*) FROM policies_summary") > 0, 60)
    wait_until(lambda: is_idle(product), 60)
    assert _pss(product) < BOUND
    assert product.stop() == 0


def _pss(product: Product) -> float:
    """MiB in proportion to how many processes share each page."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in product.processes())
    lines = (line for rollup in rollups for line in rollup.splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
