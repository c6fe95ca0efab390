"""`manage.py check --deploy` on what is shipped: silent behind a TLS proxy, and only then."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR
from tests.docs.shown import shown
from tests.settings import is_of_the_product

yaml = pytest.importorskip("yaml", reason="pip install -r requirements-docs.txt")

INSTALL = BASE_DIR / "docs" / "install.md"
CONTAINER = BASE_DIR / "deploy" / "container"
UNIT = BASE_DIR / "deploy" / "systemd" / "mtastsweb-web.service"
PROXY = dict(
    line.text.split("=", 1)
    for line in shown()
    if line.page == INSTALL and re.fullmatch("[A-Z_]+=.+", line.text)
)
"""The settings that docs/install.md has for the proxy."""

# Django's, and W005 of ours: cookies and passwords in the clear, no redirect, no HSTS.
WITHOUT_TLS = {"security.W004", "security.W008", "security.W012", "security.W016"}


def checked(environ: dict[str, str], data_dir: Path) -> set[str]:
    """The ids of what is warned of, or worse, where the data is private and of its own."""
    kept = {name: value for name, value in os.environ.items() if not is_of_the_product(name)}
    done = subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), "check", "--deploy"],
        env=kept | environ | {"DATA_DIR": str(data_dir), "MTASTS_NAMESERVERS": "127.0.0.1"}
        | {"DJANGO_SETTINGS_MODULE": "mtastsweb.settings"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stderr.partition("INFOS:")[0]
    return set(re.findall(r"^\?: \(([\w.]+)\)", told, re.MULTILINE))


def of_the_units() -> dict[str, str]:
    environ = re.findall(r"^Environment=([A-Z_]+)=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert environ
    return dict(environ)


def of_a_container(compose: Path, secrets_dir: Path) -> dict[str, str]:
    """What the image sets and the compose file adds, with secrets as docs/install.md makes them."""
    image = (CONTAINER / "Containerfile").read_text()
    environ = dict(re.findall(r"^ +([A-Z_]+)=([^\s$]+)", image, re.MULTILINE))
    assert {"WEB_LISTEN", "DATA_DIR"} <= set(environ)
    environ |= yaml.safe_load(compose.read_text())["services"]["mtastsweb"]["environment"]
    for name, value in list(environ.items()):
        if value.startswith("/run/secrets/"):
            secret = secrets_dir / Path(value).name
            is_url = name.startswith("DATABASE_URL")
            secret.write_text(
                "postgres://mtastsweb:x@postgresql/mtastsweb" if is_url else secrets.token_hex(48)
            )
            environ[name] = str(secret)
    return environ


def test_with_systemd(tmp_path: Path) -> None:
    assert set(PROXY) == {"WEB_HTTPS", "ALLOWED_HOSTS"}
    data = tmp_path / "data"
    assert checked(of_the_units() | PROXY, data) == set()
    assert checked(of_the_units(), data) == WITHOUT_TLS


@pytest.mark.parametrize("compose", sorted(CONTAINER.glob("compose*.yaml")), ids=lambda p: p.name)
def test_with_containers(compose: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    environ = of_a_container(compose, tmp_path)
    assert checked(environ | PROXY, data) == set()
    assert checked(environ, data) == WITHOUT_TLS | {"mtasts.W005"}
