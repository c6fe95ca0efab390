"""`make run` from nothing: an empty home directory, a fresh copy, a free port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR
from tests.needs import needs_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("make"),
    needs_program("make", apt="make"),
    needs_program("git", apt="git"),
]

# Installing is what takes long, where packages have to come over a slow line.
INSTALLED = 600  # seconds
STOPPED = 60  # seconds


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git knows of the checkout, with the changes that are not committed yet."""
    copy = tmp_path_factory.mktemp("make") / "copy"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=BASE_DIR, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(BASE_DIR / name, copy / name)
    return copy


@pytest.fixture
def installed(copy: Path) -> Path:
    """The copy with its virtual environment."""
    subprocess.run(
        ["make", ".venv/product.stamp"],
        cwd=copy,
        check=True,
        capture_output=True,
        timeout=INSTALLED,
    )
    return copy


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def make_run(copy: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`make run` once it is up, and the address of its web."""
    address = f"127.0.0.1:{free_port()}"
    home = copy.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("PATH", "PIP_"))}
    with (copy.parent / "log").open("a") as log_file:
        make = subprocess.Popen(
            ["make", "run"],
            cwd=copy,
            env={
                **kept,
                "HOME": str(home),
                "WEB_LISTEN": address,
                "SOCKETMAP_LISTEN": f"127.0.0.1:{free_port()}",
            },
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
            # A process group of its own, as a shell gives it, so that Ctrl-C can go to all of it.
            process_group=0,
        )
    assert make.stdout is not None
    try:
        told = iter(make.stdout.readline, "")
        assert any(line == f"Web: http://{address}\n" for line in told), log(copy)
        yield make, address
    finally:
        if make.poll() is None:
            make.terminate()
        make.stdout.read()
        make.wait(STOPPED)
        make.stdout.close()


def log(copy: Path) -> str:
    return (copy.parent / "log").read_text()


def processes_in(copy: Path) -> list[str]:
    """The command lines of those that run from the copy, or in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            directory = (process / "cwd").readlink()
        except OSError:
            continue
        if str(copy) in command or directory.is_relative_to(copy):
            found.append(command)
    return found


def test_make_run_serves_and_sigterm_to_make_leaves_no_process(copy: Path) -> None:
    with make_run(copy) as (make, address):
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as response:
            assert response.read() == b"ok"
        assert make.stdout is not None
        assert make.stdout.readline().startswith("Socketmap: 127.0.0.1:")
        assert make.stdout.readline().startswith(f"First login: http://{address}/setup/")
        make.send_signal(signal.SIGTERM)
        make.wait(STOPPED)
    assert processes_in(copy) == []


def test_ctrl_c_leaves_no_process_and_the_key_stays(installed: Path) -> None:
    with make_run(installed) as (make, _):
        key = (installed / "data" / "secret-key").read_text()
        os.killpg(make.pid, signal.SIGINT)
        make.wait(STOPPED)
    assert processes_in(installed) == []
    with make_run(installed):
        assert (installed / "data" / "secret-key").read_text() == key


def test_a_second_start_on_the_same_data_is_refused(installed: Path) -> None:
    with make_run(installed):
        second = subprocess.run(
            [installed / ".venv/bin/python", "manage.py", "start"],
            cwd=installed,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=STOPPED,
            check=False,
        )
    assert second.returncode == 1
    assert f"Already running on {installed / 'data'} (process " in second.stderr


def test_a_port_in_use_is_named(installed: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        refused = subprocess.run(
            [installed / ".venv/bin/python", "manage.py", "start"],
            cwd=installed,
            env={"PATH": os.environ["PATH"], "WEB_LISTEN": address},
            capture_output=True,
            text=True,
            timeout=STOPPED,
            check=False,
        )
    assert refused.returncode == 1
    assert f"CommandError: {address} is in use: see WEB_LISTEN." in refused.stderr


def test_a_python_without_venv_is_answered_with_the_apt_get_line(
    copy: Path, tmp_path: Path
) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(copy / name, bare)
    done = subprocess.run(
        ["make", "run", f"PYTHON={python}"], cwd=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr
