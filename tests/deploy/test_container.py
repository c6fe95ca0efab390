"""The container's files, as far as they can be checked where no container runs.

tests/deploy/test_engine.py builds the image and runs compose.yaml.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings

from mtastsweb.environment import BASE_DIR

yaml = pytest.importorskip("yaml", reason="pip install -r requirements-docs.txt")

CONTAINER = BASE_DIR / "deploy" / "container"
COMPOSE = sorted(CONTAINER.glob("compose*.yaml"))


def known_settings() -> set[str]:
    """The variables that docs/settings.md has."""
    text = (BASE_DIR / "docs" / "settings.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}


def services(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return dict(loaded["services"])


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_compose_sets_what_the_product_knows(path: Path) -> None:
    names = services(path)["mtastsweb"]["environment"]
    assert {name.removesuffix("_FILE") for name in names} <= known_settings()


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_compose_publishes_to_this_machine_alone(path: Path) -> None:
    for service in services(path).values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_compose_builds_from_what_there_is_and_shuts_it_in(path: Path) -> None:
    service = services(path)["mtastsweb"]
    context = CONTAINER / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).is_file()
    assert (context / "pyproject.toml").is_file()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_secret_and_volume_that_is_used_is_declared(path: Path) -> None:
    whole = yaml.safe_load(path.read_text())
    for service in whole["services"].values():
        assert set(service.get("secrets", [])) <= set(whole.get("secrets", {}))
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(whole["volumes"])


def test_no_secret_beside_the_compose_file_is_ever_committed() -> None:
    ignored = (BASE_DIR / ".gitignore").read_text()
    for secret in yaml.safe_load((CONTAINER / "compose.postgresql.yaml").read_text())["secrets"]:
        assert f"/deploy/container/{secret}\n" in ignored


@pytest.mark.django_db
@override_settings(ALLOWED_HOSTS=["mtasts.example.org"])
def test_the_health_check_is_answered_whatever_the_site_is_called() -> None:
    check = re.search(r"urlopen\('(http://[^']+)'", (CONTAINER / "Containerfile").read_text())
    assert check is not None
    host, _, path = check[1].removeprefix("http://").partition("/")
    assert Client(headers={"host": host}).get(f"/{path}").status_code == 200


def test_the_image_runs_as_nobody_in_particular_with_settings_that_there_are() -> None:
    text = (CONTAINER / "Containerfile").read_text()
    assert re.search(r"^USER [1-9]", text, re.MULTILINE)
    assert set(re.findall(r"^(?:ENV|   ) +([A-Z_]+)=", text, re.MULTILINE)) - {"PATH"} <= (
        known_settings()
    )
