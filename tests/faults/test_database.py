"""The database stops and starts, or has no room left, while policies are refreshed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import whole
from tests.faults.conftest import NEW_REPLY, OLD_REPLY, MakeProduct, is_idle, refreshed
from tests.faults.lookups import Lookups
from tests.faults.product import Product
from tests.needs import needs_root
from tests.socketmap.server.cluster import Cluster, programs
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults"), needs_root()]


SLOWLY = {"REFRESH_RATE": "25", "MTASTS_FETCH_TIMEOUT": "15"}
"""A fault comes in the middle of a refresh, and no host that is late backs off for minutes."""

LAPSED = 300.0
"""Seconds after which what was cut short has lapsed (the longest, a task
that is done, after 150 s) and a tick has come, which it does each minute, and ended."""


def test_postgresql_stops_and_starts(
    cluster: Cluster, make_product: MakeProduct, domains: list[str]
) -> None:
    product = make_product(DATABASE_URL=cluster.url, SECRET_KEY="for tests", **SLOWLY)
    with Lookups(product.port, domains) as lookups:
        product.start()
        wait_until(lambda: refreshed(product) > 50, 20)
        cluster.stop()
        _go_on(lookups)
        cluster.start()
        _recovers(product, domains)
    _check(product, domains, lookups)


def test_the_disk_is_full_for_a_while(
    small_disk: Path, make_product: MakeProduct, domains: list[str]
) -> None:
    product = make_product(small_disk / "data", **SLOWLY)
    lookups = _with_a_full_disk(product, domains, small_disk / "ballast", "full")
    assert product.database.rows("PRAGMA integrity_check") == [("ok",)]
    _check(product, domains, lookups)


def test_the_disk_of_postgresql_is_full_for_a_while(
    small_cluster: tuple[Cluster, Path], make_product: MakeProduct, domains: list[str]
) -> None:
    cluster, ballast = small_cluster
    product = make_product(DATABASE_URL=cluster.url, SECRET_KEY="for tests", **SLOWLY)
    lookups = _with_a_full_disk(product, domains, ballast, "No space left on device")
    _check(product, domains, lookups)


def _with_a_full_disk(
    product: Product, domains: list[str], ballast: Path, complaint: str
) -> Lookups:
    """Start it, have no room left until it says so, and see it through; what mail servers heard."""
    with Lookups(product.port, domains) as lookups:
        product.start()
        wait_until(lambda: refreshed(product) > 50, 30)
        _fill(ballast)
        wait_until(lambda: complaint in product.log, 60)
        _go_on(lookups)
        ballast.unlink()
        _recovers(product, domains)
    return lookups


def _go_on(lookups: Lookups) -> None:
    """Mail is answered meanwhile."""
    before = lookups.total
    wait_until(lambda: lookups.total > before + 100, 20)


def _recovers(product: Product, domains: list[str]) -> None:
    """All is refreshed and over without a hand: what was cut short lapses, and a tick comes."""
    wait_until(product.is_up, 40)
    wait_until(lambda: refreshed(product) == len(domains) and is_idle(product), LAPSED, pause=0.1)


def _check(product: Product, domains: list[str], lookups: Lookups) -> None:
    assert set(lookups.answers) <= {NEW_REPLY, OLD_REPLY}
    assert product.stop() == 0
    assert not product.processes()
    whole.check(product, domains)
    whole.check_counts(product, lookups)


@pytest.fixture
def small_cluster() -> Iterator[tuple[Cluster, Path]]:
    """A PostgreSQL with little room for its tables, and a file that may take all of it.

    Its log lies elsewhere, as is advised: without room for that PostgreSQL ends, and its service
    has to start it again.
    """
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    folder.chmod(0o755)
    disk = folder / "disk"
    disk.mkdir()
    try:
        with _mounted(disk, "72m"):
            cluster = Cluster(disk, found, wal=folder / "wal")
            cluster.start()
            yield cluster, disk / "ballast"
            cluster.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    with _mounted(path, "24m"):
        yield path


@contextmanager
def _mounted(path: Path, size: str) -> Iterator[None]:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: the product of the test is ended after it.
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
