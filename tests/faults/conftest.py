"""A product with some hundred policies due, on either database."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policies.mtasts import parse_policy
from tests.faults.product import Product
from tests.needs import needs_root  # noqa: F401 - tests take it from here
from tests.socketmap.server.cluster import Cluster, programs

if TYPE_CHECKING:
    from tests.lab.lab import Lab

OLD = "version: STSv1\nmode: testing\nmx: old.lab.test\nmax_age: 86400\n"
NEW = "version: STSv1\nmode: enforce\nmx: mx.lab.test\nmx: *.lab.test\nmax_age: 604800\n"
NEW_REPLY = b"OK secure match=mx.lab.test:.lab.test servername=hostname"
OLD_REPLY = b"NOTFOUND "
POLICIES = 400

SHORT = {"MTASTS_DNS_TIMEOUT": "2", "MTASTS_FETCH_TIMEOUT": "3"}

MakeProduct = Callable[..., Product]


@pytest.fixture(scope="session")
def domains() -> list[str]:
    return [f"d{number}.lab.test" for number in range(POLICIES)]


@pytest.fixture
def served(lab: Lab) -> Lab:
    """The laboratory, which serves NEW for each domain and as many more as are asked for."""
    from tests.lab.synthetic import serve_synthetic

    serve_synthetic(lab, 10 * POLICIES, NEW)
    return lab


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    made = Cluster(folder, found)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def make_product(served: Lab, tmp_path: Path, domains: list[str]) -> Iterator[MakeProduct]:
    """`make_product(**environment)`: with OLD stored for each domain and long due; not started.

    `filled` False: on a database where that was done.
    """
    made: list[Product] = []

    def make(
        data_dir: Path = tmp_path / "data", *, filled: bool = True, **variables: str
    ) -> Product:
        product = Product(data_dir, {**SHORT, **served.settings()}, **variables)
        made.append(product)
        due = datetime.now(UTC) - timedelta(minutes=5)
        if filled:
            product.database.store(domains, OLD, parse_policy(OLD), due)
        return product

    yield make
    for product in made:
        product.end()


@pytest.fixture(params=["sqlite", "postgresql"])
def product(request: pytest.FixtureRequest, make_product: MakeProduct) -> Product:
    """The same on SQLite, and on a PostgreSQL of the test's own."""
    if request.param == "sqlite":
        return make_product()
    cluster: Cluster = request.getfixturevalue("cluster")
    return make_product(DATABASE_URL=cluster.url, SECRET_KEY="for tests")


def refreshed(product: Product) -> int:
    """How many policies are as they are served now."""
    return product.database.number(
        "SELECT COUNT(*) FROM policies_policyrecord WHERE policy_text = ?", NEW
    )


def is_idle(product: Product) -> bool:
    """Whether nothing waits or runs: no fetch, no job, no lease."""
    return not product.database.number(
        "SELECT (SELECT COUNT(*) FROM policies_fetch WHERE state <> 'done')"
        " + (SELECT COUNT(*) FROM policies_policyrecord WHERE job IS NOT NULL)"
        " + (SELECT COUNT(*) FROM policies_lease WHERE holder <> '')"
        " + (SELECT COUNT(*) FROM policies_job WHERE state = 'running')"
    )
