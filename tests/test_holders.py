"""Whose a token is, and which runs are dead for certain."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR
from policies import holders

WITH_HEIR = """
import os, signal, sys
from pathlib import Path
from policies import holders
holders.begin("worker", Path(sys.argv[1]))
heir = os.fork()
if heir:
    print(holders.token(), heir, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_run", holders._Run(""))


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A process that began a run and forked another: its name, and the other's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_HEIR, str(tmp_path)],
        cwd=BASE_DIR, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    token, heir = process.stdout.readline().split()
    yield process, token.partition(holders.SEPARATOR)[0], int(heir)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


def kill(pid: int) -> None:
    """Returns when it has closed what it held."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [], 10)
    os.close(descriptor)


def test_a_token_tells_nothing_where_no_run_was_begun() -> None:
    assert holders.SEPARATOR not in holders.token()
    assert holders.dead() == []


def test_tokens_differ_begin_with_the_run_s_name_and_fit_a_claim(tmp_path: Path) -> None:
    holders.begin("worker", tmp_path / "run")
    first, second = holders.token(), holders.token()
    assert first != second
    assert first.partition(holders.SEPARATOR)[0] == second.partition(holders.SEPARATOR)[0]
    assert len(first) <= 64
    assert holders.dead() == []


def test_a_killed_run_is_dead_until_it_is_forgotten(
    earlier: tuple[subprocess.Popen[str], str, int], tmp_path: Path
) -> None:
    process, name, heir = earlier
    kill(heir)
    kill(process.pid)
    holders.begin("worker", tmp_path)
    assert holders.dead() == [name]
    holders.forget([name])
    assert holders.dead() == []


def test_a_run_lives_while_one_of_its_forks_does(
    earlier: tuple[subprocess.Popen[str], str, int], tmp_path: Path
) -> None:
    process, name, _ = earlier
    kill(process.pid)
    holders.begin("worker", tmp_path)
    assert holders.dead() == []
    assert name not in holders.token()


def test_a_run_of_another_kind_is_none_of_its_business(
    earlier: tuple[subprocess.Popen[str], str, int], tmp_path: Path
) -> None:
    process, _, heir = earlier
    kill(heir)
    kill(process.pid)
    holders.begin("socketmap", tmp_path)
    assert holders.dead() == []


def test_a_renewed_run_has_another_name_and_its_old_one_is_dead(tmp_path: Path) -> None:
    holders.begin("worker", tmp_path)
    old = holders.token().partition(holders.SEPARATOR)[0]
    holders.renew()
    assert not holders.token().startswith(holders.prefix(old))
    assert holders.dead() == [old]
    holders.renew()
    assert len(holders.dead()) == 2
