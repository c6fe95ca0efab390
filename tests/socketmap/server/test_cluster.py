"""PostgreSQL stops, and starts again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.needs import needs_root
from tests.socketmap.server.cluster import Cluster, programs
from tests.socketmap.server.process import Process, environment, free_port, manage
from tests.socketmap.server.running import wait_until

if TYPE_CHECKING:
    from tests.lab.lab import Lab

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

pytestmark = [pytest.mark.slow, needs_root()]

POLICY = "version: STSv1\nmode: enforce\nmx: mx.lab.test\nmax_age: 86400\n"
SECURE = b"OK secure match=mx.lab.test servername=hostname"


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


def test_mail_goes_on_while_it_is_down_and_new_names_are_stored_once_it_is_back(
    cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    for number in range(40):
        lab.domain(f"d{number}.lab.test", POLICY)
    environ = environment(
        tmp_path, free_port(), DATABASE_URL=cluster.url, SECRET_KEY="for tests", **lab.settings()
    )
    manage(["migrate", "--verbosity", "0"], environ)
    server = Process(environ)
    try:
        with server.client() as client:
            assert client.ask("d0.lab.test") == SECURE
            wait_until(lambda: "d0.lab.test" in manage(["mtasts", "list"], environ))
            cluster.stop()
            for _ in range(20):
                assert client.ask("d0.lab.test") == SECURE
            assert client.ask("d1.lab.test") == SECURE  # all rows are known, so it has none
            cluster.start()
            names = (f"d{number}.lab.test" for number in range(2, 40))

            def is_stored() -> bool:
                name = next(names)
                assert client.ask(name) == SECURE
                return name in manage(["mtasts", "list"], environ)

            wait_until(is_stored)
        assert server.terminate() == 0
    finally:
        server.kill()
    listed = manage(["mtasts", "list"], environ).splitlines()
    assert not any("used never" in line for line in listed)
