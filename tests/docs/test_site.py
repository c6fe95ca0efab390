"""The documentation as a site: it builds without a warning, and every page of it can be found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR

DOCS = BASE_DIR / "docs"

pytestmark = [
    pytest.mark.xdist_group("docs"),
    pytest.mark.skipif(
        find_spec("material") is None, reason="no MkDocs: pip install -r requirements-docs.txt"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site],
        cwd=BASE_DIR, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return site


def test_every_page_is_in_the_navigation(site: Path) -> None:
    front = (site / "index.html").read_text()
    for page in DOCS.glob("**/*.md"):
        address = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert (site / address).is_file()
        assert f'href="{address}"' in front or address == "index.html", address


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.glob("**/*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', page.read_text())
        loaded += re.findall(r'<link[^>]* rel="stylesheet"[^>]* href="([^"]+)"', page.read_text())
        assert not [address for address in loaded if "//" in address], page


def test_links_of_the_files_beside_docs_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (BASE_DIR / name).read_text()):
            assert (BASE_DIR / target).exists(), f"{name}: {target}"
