"""The systemd units under a real systemd: a bare Debian 12, and what docs/install.md has one type.

tests/deploy/test_systemd.py reads the units; here they run, with their sandbox.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from mtastsweb.environment import BASE_DIR
from tests.deploy.booted import Booted
from tests.docs.shown import shown
from tests.needs import needs_program, needs_root
from tests.postfix.bare import Bare
from tests.socketmap.server.running import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("units"),
    needs_root(),
    needs_program("git", apt="git"),
    needs_program("debootstrap", apt="debootstrap"),
    needs_program("systemd-nspawn", apt="systemd-container"),
]

PAGE = BASE_DIR / "docs" / "install.md"
UP = 60.0  # seconds
PYTHON = "/opt/mtastsweb/.venv/bin/python"

ASK_FOR_A_WHILE = """
import socket, sys, time
key = b"postfix [mail.lab.test]"
asked, end = 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    with socket.create_connection(("127.0.0.1", 8461), 30) as server:
        server.sendall(b"%d:%s," % (len(key), key))
        answer = server.recv(100)
    assert answer == b"9:NOTFOUND ,", answer
    asked += 1
print(asked)
"""


def lines() -> list[str]:
    """What the page shows, in its order."""
    return [line.text for line in shown() if line.page == PAGE]


def line_that_begins(beginning: str) -> str:
    return next(line for line in lines() if line.startswith(beginning))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """With systemd, as every Debian server has it, and installed as the page says."""
    directory = tmp_path_factory.mktemp("units")
    directory.chmod(0o755)
    machine = Bare(directory)
    with machine:
        machine.type("apt-get install systemd systemd-sysv dbus procps")
        address = machine.root / "srv/mtastsweb.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", BASE_DIR, address], check=True)
        shown_there = lines()
        typed = shown_there[: shown_there.index("systemctl daemon-reload")]
        whole = "\n".join(["set -e", *typed])
        machine.type(whole.replace("https://git.example.org/mtastsweb", "/srv/mtastsweb.git"))
    return machine


@pytest.fixture(scope="module")
def machine(bare: Bare) -> Iterator[Booted]:
    with Booted(bare.root, bare.directories) as booted:
        booted.type("systemctl daemon-reload")
        yield booted


def wait_until_healthy(machine: Booted) -> None:
    asks = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/healthz').read())"
    wait_until(lambda: "b'ok'" in machine.run(f'{PYTHON} -c "{asks}"').stdout, UP)


def check_that_nothing_is_refused(machine: Booted) -> None:
    """The sandbox gets in the way of nothing that the product does."""
    said = machine.type("journalctl --unit 'mtastsweb*' --no-pager")
    assert "mtastsweb" in said
    refused = re.findall(r".*(?:not permitted|[Pp]ermission denied|Read-only|Traceback).*", said)
    assert refused == []


def main_process(machine: Booted, unit: str) -> str:
    return machine.type(f"systemctl show --property=MainPID --value {unit}").strip()


@pytest.fixture(scope="module")
def in_parts(machine: Booted) -> Booted:
    machine.type(line_that_begins("systemctl enable --now mtastsweb-socketmap.socket"))
    wait_until_healthy(machine)
    return machine


class TestInParts:
    def test_each_part_runs(self, in_parts: Booted) -> None:
        for unit in ("socketmap.socket", "socketmap", "web", "worker", "migrate"):
            assert in_parts.type(f"systemctl is-active mtastsweb-{unit}") == "active\n"
        assert in_parts.type(line_that_begins("mtastsweb setup-link")).startswith("http")
        checked = in_parts.run(line_that_begins("mtastsweb check --deploy"))
        assert "System check identified" in checked.stdout + checked.stderr
        worker = main_process(in_parts, "mtastsweb-worker")
        assert in_parts.type(f"ps -o ni= -p {worker}").strip() == "10"
        check_that_nothing_is_refused(in_parts)

    def test_they_are_shut_in(self, in_parts: Booted) -> None:
        for part in ("socketmap", "web", "worker"):
            process = main_process(in_parts, f"mtastsweb-{part}")
            status = in_parts.type(f"cat /proc/{process}/status")
            assert re.search(r"^Uid:\t(?!0\t)", status, re.MULTILINE)
            assert "CapEff:\t0000000000000000\n" in status
            assert "NoNewPrivs:\t1\n" in status
            assert "Seccomp:\t2\n" in status
            there = f"nsenter --target {process} --mount"
            refused = in_parts.run(f"{there} touch /opt/mtastsweb/x /etc/x /usr/x")
            assert refused.stderr.count("Read-only file system") == 3
            assert in_parts.type(f"{there} ls /home /root") == "/home:\n\n/root:\n"
            in_parts.type(f"{there} touch /var/lib/mtastsweb/x")

    def test_no_lookup_is_lost_by_a_restart_or_an_upgrade(
        self, in_parts: Booted, bare: Bare
    ) -> None:
        began = main_process(in_parts, "mtastsweb-socketmap")
        upgrade = line_that_begins("cd /opt/mtastsweb && git pull")
        in_parts.type(upgrade, on_our_network=True, HOME="/root", **bare.pip)
        restart = line_that_begins("systemctl restart mtastsweb-migrate")
        asked = in_parts.type(
            f"{PYTHON} -c '{ASK_FOR_A_WHILE}' 15 & asks=$!; {restart}; wait $asks"
        )
        assert int(asked) > 100
        assert main_process(in_parts, "mtastsweb-socketmap") not in {"0", began}
        check_that_nothing_is_refused(in_parts)


class TestAllInOne:
    """After the parts, which it takes the place of."""

    def test_it_runs_its_worker_gives_way_and_it_stops(self, machine: Booted) -> None:
        for command in ("systemctl enable --now mtastsweb", "systemctl restart mtastsweb"):
            assert command in lines()
            machine.type(command)
            wait_until_healthy(machine)
            nice = {name: self._nice(machine, name) for name in ("web", "worker", "socketmap")}
            assert nice == {"web": {"0"}, "worker": {"10"}, "socketmap": {"0"}}
        check_that_nothing_is_refused(machine)
        machine.type("systemctl disable --now mtastsweb")
        assert machine.type("systemctl show --property=Result --value mtastsweb") == "success\n"
        assert machine.run("pgrep -u mtastsweb").stdout == ""

    def _nice(self, machine: Booted, name: str) -> set[str]:
        """Of all processes of this name."""
        return set(machine.type(f"ps -C {name} -o ni=").split())
