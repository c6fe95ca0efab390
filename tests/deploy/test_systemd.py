"""The systemd units: what systemd says of them, and that they run what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands

from mtastsweb.environment import BASE_DIR
from tests.needs import needs_program

UNITS = BASE_DIR / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
SOCKETS = sorted(path.name for path in UNITS.glob("*.socket"))
PROGRAM = "/opt/mtastsweb/.venv/bin/mtastsweb"
WORST_SCORE = 1.5
"""Of `systemd-analyze security`, where 10 is no protection at all."""

needs_systemd = needs_program("systemd-analyze", apt="systemd")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system with the units in it, and something to run where they look for the product."""
    root = tmp_path_factory.mktemp("systemd")
    shutil.copytree("/usr/lib/systemd/system", root / "etc/systemd/system", symlinks=True)
    for unit in UNITS.iterdir():
        shutil.copy(unit, root / "etc/systemd/system")
    for name in (PROGRAM, "/opt/mtastsweb/.venv/bin/python", "/bin/kill"):
        program = root / name[1:]
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return root


@needs_systemd
def test_systemd_accepts_them(root: Path) -> None:
    done = analyze("verify", f"--root={root}", *SERVICES, *SOCKETS)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_would_refuse_a_mistake(root: Path) -> None:
    wrong = (UNITS / SERVICES[0]).read_text().replace(PROGRAM, "/opt/nothing")
    (root / "etc/systemd/system/wrong.service").write_text(wrong)
    assert analyze("verify", f"--root={root}", "wrong.service").returncode != 0


@needs_systemd
@pytest.mark.parametrize("service", SERVICES)
def test_they_are_shut_in(root: Path, service: str) -> None:
    done = analyze("security", "--offline=true", f"--root={root}", service)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score is not None, done.stderr
    assert float(score[1]) <= WORST_SCORE


@pytest.mark.parametrize("service", SERVICES)
def test_they_are_all_shut_in_alike(service: str) -> None:
    def block(name: str) -> list[str]:
        text = (UNITS / name).read_text()
        return text[text.index("\n# The same in each") :].partition("\n[Install]")[0].split()

    assert block(service) == block(SERVICES[0])


@pytest.mark.parametrize("service", SERVICES)
def test_they_run_commands_that_there_are(service: str) -> None:
    started = re.findall(r"^Exec\w+=(\S+) (.*)$", (UNITS / service).read_text(), re.MULTILINE)
    assert started
    for program, words in started:
        if program == PROGRAM:
            assert words.split()[0] in get_commands()
        elif program != "/bin/kill":
            assert words == "-P -m gunicorn --config python:mtastsweb.gunicorn"


def test_a_stop_is_asked_of_the_leader_alone() -> None:
    for service in SERVICES:
        text = (UNITS / service).read_text()
        assert "KillMode=mixed" in text or "Type=oneshot" in text


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], check=False, capture_output=True, text=True, timeout=60
    )
