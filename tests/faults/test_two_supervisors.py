"""Two supervisors on one data directory: the second refuses, and the first does not notice."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mtastsweb.environment import BASE_DIR
from tests.faults import whole
from tests.faults.conftest import NEW_REPLY, OLD_REPLY, is_idle, refreshed
from tests.faults.lookups import Lookups
from tests.faults.product import Product
from tests.socketmap.server.process import free_port
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_the_second_refuses(product: Product, domains: list[str]) -> None:
    product.environ |= {"REFRESH_RATE": "50", "MTASTS_FETCH_TIMEOUT": "15"}
    with Lookups(product.port, domains) as lookups:
        product.start()
        broken = lookups.broken  # until it was up
        wait_until(lambda: refreshed(product) > 20, 30)
        before = sorted(product.processes())
        # On ports of its own: it is the directory that it must not share.
        another = {
            "WEB_LISTEN": f"127.0.0.1:{free_port()}",
            "SOCKETMAP_LISTEN": f"127.0.0.1:{free_port()}",
        }
        done = _start(product.environ | another)
        assert done.returncode == 1
        pid = (product.data_dir / "run" / "start.lock").read_text()
        assert f"Already running on {product.data_dir} (process {pid})." in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert sorted(product.processes()) == before
        wait_until(lambda: refreshed(product) == len(domains), 60)
    assert lookups.broken == broken
    assert set(lookups.answers) <= {NEW_REPLY, OLD_REPLY}
    wait_until(lambda: is_idle(product), 30)
    assert product.stop() == 0
    assert not product.processes()
    whole.check(product, domains)
    whole.check_counts(product, lookups)


def _start(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), "start"],
        env=environ, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
