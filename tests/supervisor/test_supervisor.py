"""The supervisor with real processes: started, killed, stopped, and none left over.

Children write what they do into a pipe that all of them inherit by name (a FIFO). Reading it to
its end waits, without sleeping, until the last process that could write is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR

# What children do first: open the FIFO and tell their name and process id.
TELL = """
import os, signal, sys, time
out = os.open({fifo!r}, os.O_WRONLY)
def tell(*words): os.write(out, (" ".join(map(str, words)) + "\\n").encode())
"""
OBEDIENT = "tell('started', {name!r}, os.getpid()); signal.pause()"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " + OBEDIENT + "; signal.pause()"
WITH_HEIR = "heir = os.fork()\n" + OBEDIENT
WITH_DEAF_HEIR = "signal.signal(signal.SIGTERM, signal.SIG_IGN) if not os.fork() else 0\n" + DEAF
POLITE = """
def end(*_): tell('ended', {name!r}); os._exit(0)
signal.signal(signal.SIGTERM, end)
tell('started', {name!r}, os.getpid())
while True: signal.pause()
"""

TIMEOUT = 20  # seconds


class Stage:
    """A run directory, a FIFO, and the supervisors that a test starts on them."""

    def __init__(self, path: Path, environ: dict[str, str]) -> None:
        self._environ = {**os.environ, **environ}
        self.run_dir = path / "run"
        self.fifo = path / "fifo"
        os.mkfifo(self.fifo)
        # Held open for writing until the supervisor is up, else the reader sees an end too early.
        self._reader = os.fdopen(os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK), "r")
        self._holder = os.open(self.fifo, os.O_WRONLY)
        os.set_blocking(self._reader.fileno(), True)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, **children: str) -> subprocess.Popen[str]:
        """A supervisor of `name="code"`; "worker" belongs to a later stage."""
        arguments = [
            f"{name}={int(name == 'worker')}="
            + TELL.format(fifo=str(self.fifo))
            + code.format(name=name)
            for name, code in children.items()
        ]
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "tests.supervisor.running", self.run_dir, *arguments],
            cwd=BASE_DIR,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(supervisor)
        return supervisor

    def line(self) -> list[str]:
        """What the next child tells, in words."""
        return self._reader.readline().split()

    def rest(self) -> list[list[str]]:
        """All that is told until the last child and everything it forked is gone."""
        os.close(self._holder)
        self._holder = -1
        return [line.split() for line in self._reader]

    def close(self) -> None:
        for supervisor in self.started:
            if supervisor.poll() is None:
                supervisor.terminate()
            supervisor.communicate(timeout=TIMEOUT)
        self._reader.close()
        if self._holder != -1:
            os.close(self._holder)


@pytest.fixture(params=["command", "fork"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, {"FORKED": "1"} if request.param == "fork" else {})
    yield stage
    stage.close()


def started(told: list[str]) -> int:
    """The process id of the child that tells its start."""
    assert told[0] == "started"
    return int(told[2])


def children_of(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def is_alive(pid: int) -> bool:
    """False for a zombie too: who inherits an orphan may take its time to look at it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_with_exit_status_0(stage: Stage, number: int) -> None:
    supervisor = stage.start(web=OBEDIENT, worker=OBEDIENT)
    started(stage.line())
    started(stage.line())
    supervisor.send_signal(number)
    assert supervisor.wait(TIMEOUT) == 0
    assert stage.rest() == []


def test_the_later_stage_is_asked_to_stop_when_the_earlier_has_stopped(stage: Stage) -> None:
    supervisor = stage.start(worker=POLITE, web=POLITE, socketmap=POLITE)
    for _ in range(3):
        started(stage.line())
    supervisor.terminate()
    assert supervisor.wait(TIMEOUT) == 0
    ends = [name for _, name in stage.rest()]
    assert ends[2] == "worker"


def test_a_child_that_dies_is_started_again(stage: Stage) -> None:
    stage.start(web=OBEDIENT)
    first = started(stage.line())
    os.kill(first, signal.SIGKILL)
    second = started(stage.line())
    os.kill(second, signal.SIGKILL)
    assert started(stage.line()) not in {first, second}


def test_the_other_children_run_on_when_one_dies(stage: Stage) -> None:
    stage.start(web=OBEDIENT, worker=OBEDIENT)
    pids = {told[1]: started(told) for told in (stage.line(), stage.line())}
    os.kill(pids["web"], signal.SIGKILL)
    assert stage.line()[1] == "web"
    assert is_alive(pids["worker"])


def test_what_a_dead_child_had_forked_is_gone_before_it_is_started_again(stage: Stage) -> None:
    stage.start(web=WITH_HEIR)
    pids = {started(stage.line()), started(stage.line())}
    leader = min(pids, key=lambda pid: os.getpgid(pid) != pid)
    os.kill(leader, signal.SIGKILL)
    again = {started(stage.line()), started(stage.line())}
    assert not pids & again
    supervisor = stage.started[0]
    supervisor.terminate()
    supervisor.wait(TIMEOUT)
    assert stage.rest() == []


@pytest.mark.parametrize("code", [DEAF, WITH_HEIR, WITH_DEAF_HEIR])
def test_what_does_not_stop_is_killed_with_all_it_forked(stage: Stage, code: str) -> None:
    supervisor = stage.start(web=code)
    started(stage.line())
    supervisor.terminate()
    assert supervisor.wait(TIMEOUT) == 0
    assert {told[0] for told in stage.rest()} <= {"started"}


@pytest.mark.parametrize("code", [OBEDIENT, WITH_HEIR])
def test_a_killed_supervisor_leaves_nothing_behind(stage: Stage, code: str) -> None:
    supervisor = stage.start(web=code, worker=code)
    started(stage.line())
    started(stage.line())
    supervisor.kill()
    assert all(told[0] == "started" for told in stage.rest())


def test_the_next_start_ends_what_supervisor_and_keeper_left_behind(stage: Stage) -> None:
    supervisor = stage.start(web=OBEDIENT)
    orphan = started(stage.line())
    for keeper in children_of(supervisor.pid) - {orphan}:
        os.kill(keeper, signal.SIGKILL)
    supervisor.kill()
    supervisor.wait(TIMEOUT)
    assert is_alive(orphan)
    follower = stage.start(web=OBEDIENT)
    assert started(stage.line()) != orphan
    assert not is_alive(orphan)
    follower.terminate()
    follower.wait(TIMEOUT)
    assert stage.rest() == []


def test_a_child_has_nothing_of_the_supervisor_s_open(stage: Stage) -> None:
    """Else its locks and pipes would not end with it."""
    supervisor = stage.start(web=OBEDIENT)
    child = started(stage.line())
    mine = _opened(supervisor.pid) - {os.devnull}
    assert mine  # its locks, and a pipe to the keeper
    assert not {name for name in mine & _opened(child) if name.startswith(("/", "socket:"))}
    assert os.getsid(child) == child


def _opened(pid: int) -> set[str]:
    """What it has open besides the standard three."""
    entries = Path(f"/proc/{pid}/fd").iterdir()
    return {str(entry.readlink()) for entry in entries if int(entry.name) > 2}


def test_a_second_supervisor_on_the_same_directory_refuses(stage: Stage) -> None:
    first = stage.start(web=OBEDIENT)
    started(stage.line())
    second = stage.start(web=OBEDIENT)
    _, errors = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 1
    assert errors.endswith(f"already running: process {first.pid}\n")
    assert first.poll() is None


def test_it_says_once_that_all_are_up(stage: Stage) -> None:
    supervisor = stage.start(web=OBEDIENT, worker=OBEDIENT)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "up\n"
    os.kill(started(stage.line()), signal.SIGKILL)
    started(stage.line())
    started(stage.line())
    supervisor.terminate()
    assert supervisor.stdout.read() == ""


def test_a_child_that_does_not_do_its_work_is_started_again(stage: Stage) -> None:
    stage.start(sick=OBEDIENT)
    first = started(stage.line())
    assert started(stage.line()) != first


def test_a_second_signal_does_not_wait_for_what_is_slow_to_stop(stage: Stage) -> None:
    supervisor = stage.start(slow=DEAF)
    started(stage.line())
    assert supervisor.stderr is not None
    supervisor.terminate()
    while "stopping" not in supervisor.stderr.readline():
        pass
    supervisor.terminate()
    assert supervisor.wait(TIMEOUT) == 0
    assert stage.rest() == []
