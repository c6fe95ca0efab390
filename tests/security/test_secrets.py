"""What processes write holds no secret of the settings, whatever they do and however it fails."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from mtastsweb.environment import BASE_DIR
from tests.socketmap.server.process import environment, free_port, manage

if TYPE_CHECKING:
    from tests.lab.lab import Lab

SECRET = "pr1vate-and-long-enough"
SECRETS = {
    "SECRET_KEY": SECRET,
    "METRICS_TOKEN": SECRET,
    "MTASTS_PROXY": f"http://{SECRET}:{SECRET}@127.0.0.1:9",
    "EMAIL_URL": f"smtp://{SECRET}:{SECRET}@127.0.0.1:9",
    "ALERT_WEBHOOK_URL": f"http://127.0.0.1:9/{SECRET}",
    "ALERT_WEBHOOK_SECRET": SECRET,
}
DOMAIN = "secrets.test"
POLICY = "version: STSv1\nmode: enforce\nmx: mx.secrets.test\nmax_age: 86400\n"


@pytest.mark.parametrize("form", ["key-value", "json"])
def test_no_setting_is_logged(form: str, tmp_path: Path, lab: Lab) -> None:
    web = f"127.0.0.1:{free_port()}"
    environ = environment(
        tmp_path, free_port(), WEB_LISTEN=web, LOG_FORMAT=form, **SECRETS, **lab.settings()
    )
    lab.domain(DOMAIN, POLICY)
    manage(["migrate", "--verbosity", "0"], environ)
    log = tmp_path / "log"
    with log.open("w") as written:
        product = subprocess.Popen(
            [sys.executable, str(BASE_DIR / "manage.py"), "start"],
            env=environ, stdout=subprocess.PIPE, stderr=written, text=True,
        )  # fmt: skip
    try:
        assert product.stdout is not None
        said = []
        for line in product.stdout:
            said.append(line)
            if line.startswith("First login:"):
                break
        # Something that fails by way of a secret: the proxy takes nobody.
        tried = subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), "mtasts", "refetch", DOMAIN],
            env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert tried.returncode == 75, tried.stderr
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://{web}/metrics", timeout=20)
    finally:
        product.terminate()
        product.communicate(timeout=60)
    assert "proxy-connection-refused" in tried.stdout
    assert log.read_text()
    assert SECRET not in "".join(said) + log.read_text() + tried.stdout + tried.stderr


def test_nor_that_of_a_database_that_is_away(tmp_path: Path) -> None:
    environ = environment(
        tmp_path, free_port(), SECRET_KEY=SECRET,
        DATABASE_URL=f"postgres://somebody:{SECRET}@127.0.0.1:9/nothing",
    )  # fmt: skip
    for command in (["mtasts", "list"], ["start"], ["metrics"]):
        done = subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), *command],
            env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "127.0.0.1" in done.stderr, done
        assert SECRET not in done.stdout + done.stderr
