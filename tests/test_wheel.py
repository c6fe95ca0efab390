"""The wheel: all that is needed is in it, and what is installed from it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mtastsweb
from mtastsweb.environment import BASE_DIR
from tests.needs import needs_program
from tests.settings import is_of_the_product
from tests.socketmap.server.process import free_port

if TYPE_CHECKING:
    from tests.lab.lab import Lab

pytestmark = [
    pytest.mark.xdist_group("wheel"),
    pytest.mark.skipif(find_spec("setuptools") is None, reason="no setuptools: make test"),
    needs_program("git", apt="git"),
]

POLICY = "version: STSv1\nmode: enforce\nmx: mx.wheel.test\nmax_age: 86400\n"
TIMEOUT = 180  # seconds


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git knows, so that nothing is in it by accident of this checkout."""
    copy = tmp_path_factory.mktemp("wheel") / "source"
    for name in files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(BASE_DIR / name, copy / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", copy.parent, copy],
        check=True, capture_output=True, timeout=TIMEOUT,
    )  # fmt: skip
    (built,) = copy.parent.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The programs of a virtual environment with the wheel; what it depends on is lent to it."""
    venv = wheel.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (own,) = venv.glob("lib/python3*/site-packages")
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "--quiet",
         "--no-deps", "--no-index", "--no-compile", wheel],
        check=True, capture_output=True, timeout=TIMEOUT,
    )  # fmt: skip
    return venv / "bin"


@pytest.fixture
def environ(installed: Path) -> dict[str, str]:
    """Nothing is set but where to find programs: the defaults have to do."""
    kept = {name: value for name, value in os.environ.items() if not is_of_the_product(name)}
    for name in ("DJANGO_SETTINGS_MODULE", "PYTHONPATH"):
        kept.pop(name, None)
    return kept | {"PATH": f"{installed}{os.pathsep}{os.environ['PATH']}"}


def test_holds_every_file_of_the_product_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if ".dist-info/" not in name}
    expected = {
        f"mtastsweb/{name}" if name.startswith(("static/", "templates/")) else name
        for name in files()
        if name.startswith(("mtastsweb/", "policies/", "static/", "templates/"))
    }
    assert packed == expected


def test_names_its_version_and_what_it_needs_but_not_what_tests_need(wheel: Path) -> None:
    assert wheel.name.startswith(f"mtastsweb-{mtastsweb.__version__}-py3-none-any")
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith("/METADATA"))
        needs = [
            line.removeprefix("Requires-Dist: ")
            for line in opened.read(name).decode().splitlines()
            if line.startswith("Requires-Dist: ")
        ]
    pinned = (BASE_DIR / "requirements.txt").read_text().splitlines()
    wanted = [line for line in pinned if line and not line.startswith(("#", "pytest"))]
    assert sorted(squeezed(need) for need in needs) == sorted(squeezed(line) for line in wanted)


def test_runs_where_it_is_installed(environ: dict[str, str], tmp_path: Path, lab: Lab) -> None:
    run("check", environ, tmp_path)
    run("migrate --verbosity 0", environ, tmp_path)
    assert (tmp_path / "data" / "db.sqlite3").exists()
    lab.domain("wheel.test", POLICY)
    got = run("mtasts get wheel.test", environ | lab.settings(), tmp_path)
    assert got == "wheel.test: enforce mx mx.wheel.test\n"


def test_serves_pages_where_it_is_installed(environ: dict[str, str], tmp_path: Path) -> None:
    run("migrate --verbosity 0", environ, tmp_path)
    web = f"127.0.0.1:{free_port()}"
    listens = {"WEB_LISTEN": web, "SOCKETMAP_LISTEN": f"127.0.0.1:{free_port()}"}
    with subprocess.Popen(
        ["mtastsweb", "start"],
        env=environ | listens, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    ) as product:  # fmt: skip
        try:
            assert product.stdout is not None
            assert product.stdout.readline() == f"Web: http://{web}\n"
            assert "/static/css/base.css" in page(f"http://{web}/accounts/login/")
            assert "--" in page(f"http://{web}/static/css/tokens.css")
            assert page(f"http://{web}/static/admin/js/theme.js")
        finally:
            product.terminate()
    assert product.returncode == 0


def run(words: str, environ: Mapping[str, str], where: Path) -> str:
    """What the installed command prints."""
    return subprocess.run(
        ["mtastsweb", *words.split()],
        env={**environ}, cwd=where, check=True, capture_output=True, text=True, timeout=TIMEOUT,
    ).stdout  # fmt: skip


def page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as response:
        return str(response.read().decode())


def files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=BASE_DIR, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (BASE_DIR / name).is_file()]


def squeezed(requirement: str) -> str:
    return requirement.replace(" ", "").replace('"', "'")
