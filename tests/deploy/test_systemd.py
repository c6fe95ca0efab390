"""The systemd units: what systemd says of them, and that they run what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
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

# What of `systemd-run` the script needs. It stays who it is.
STAND_IN = """
import os, sys
environ = {"PATH": os.environ["PATH"]}
words = sys.argv[1:]
while words[0].startswith("--"):
    name, _, value = words.pop(0).partition("=")
    if name == "--setenv":
        environ.update([value.split("=", 1)])
    elif value.startswith("EnvironmentFile=-"):
        with open(value.removeprefix("EnvironmentFile=-")) as file:
            environ.update(line.strip().split("=", 1) for line in file)
    elif name == "--working-directory":
        os.chdir(value)
os.execvpe(words[0], words, environ)
"""

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
        return text[text.index("\n# The same in each") :].partition("\n\n")[0].split()

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


def test_all_in_one_and_the_parts_wait_for_each_others_end() -> None:
    """A conflict alone starts one while the other stops and still has the ports."""
    text = (UNITS / "mtastsweb.service").read_text()
    conflicts, after = (
        set(" ".join(re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)).split())
        for name in ("Conflicts", "After")
    )
    parts = {name for name in (*SERVICES, *SOCKETS) if name.startswith("mtastsweb-")}
    assert conflicts == parts - {"mtastsweb-migrate.service"}
    assert conflicts <= after
    assert "postgresql.service" in after


class TestCommands:
    """`mtastsweb`, which root types: what systemd is asked for is what the services have."""

    SCRIPT = UNITS / "mtastsweb.sh"

    @needs_program("systemd-run", apt="systemd")
    def test_systemd_run_knows_all_that_it_is_told(self, tmp_path: Path) -> None:
        whole = self.SCRIPT.read_text()
        only_parsed = whole.replace(f'{PROGRAM} "$@"', "--version")
        assert only_parsed != whole
        done = self._run(tmp_path, only_parsed, [])
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("systemd ")
        wrong = only_parsed.replace("--collect", "--recollect")
        assert "--recollect" in self._run(tmp_path, wrong, []).stderr

    def test_user_directories_and_settings_are_those_of_the_units(self) -> None:
        unit = (UNITS / "mtastsweb-web.service").read_text().splitlines()
        told = shlex.split(self.SCRIPT.read_text().partition("exec ")[2])
        assert f"User={_value(told, '--uid')}" in unit
        assert f"Group={_value(told, '--gid')}" in unit
        assert f"WorkingDirectory={_value(told, '--working-directory')}" in unit
        assert f"Environment={_value(told, '--setenv')}" in unit
        properties = {word.removeprefix("--property=") for word in told if "--property=" in word}
        assert {name.partition("=")[0] for name in properties} == {"UMask", "EnvironmentFile"}
        assert properties <= set(unit)

    def test_a_command_has_the_settings_of_the_file_and_its_words_as_typed(
        self, tmp_path: Path
    ) -> None:
        """With a stand-in for `systemd-run`, for no systemd has started this machine."""
        (tmp_path / "environment").write_text("ALLOWED_HOSTS=mtasts.example.org\nWEB_HTTPS=1\n")
        (tmp_path / "systemd-run").write_text(f"#!{sys.executable}\n{STAND_IN}")
        (tmp_path / "systemd-run").chmod(0o755)
        script = self.SCRIPT.read_text()
        for old, new in (
            (PROGRAM, f"{sys.executable} {BASE_DIR / 'manage.py'}"),
            ("/etc/mtastsweb/environment", str(tmp_path / "environment")),
            ("/var/lib/mtastsweb", str(tmp_path)),
        ):
            assert old in script
            script = script.replace(old, new)
        assert self._run(tmp_path, script, ["migrate", "--verbosity", "0"]).returncode == 0
        assert (tmp_path / "db.sqlite3").exists()
        made = self._run(tmp_path, script, ["setup-link"])
        assert made.stdout.startswith("https://mtasts.example.org/setup/"), made.stderr
        got = self._run(tmp_path, script, ["mtasts", "get", "not a domain"])
        assert (got.returncode, "not a domain" in got.stderr) == (64, True)

    def _run(self, path: Path, script: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        (path / "script").write_text(script)
        return subprocess.run(
            ["sh", str(path / "script"), *words], env={"PATH": f"{path}:/usr/bin:/bin"},
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip


def _value(words: list[str], option: str) -> str:
    (found,) = (word for word in words if word.startswith(f"{option}="))
    return found.partition("=")[2]


def test_a_stop_is_asked_of_the_leader_alone() -> None:
    for service in SERVICES:
        text = (UNITS / service).read_text()
        assert "KillMode=mixed" in text or "Type=oneshot" in text


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], check=False, capture_output=True, text=True, timeout=60
    )
