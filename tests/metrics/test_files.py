"""Processes that count together: what the dead counted stays, their gauges go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR
from policies.metrics.files import SIZES, THE_DEAD, Files

COUNT = """
import sys
from pathlib import Path
from policies import metrics
data_dir = Path(sys.argv[1])
metrics.share(sys.argv[2], data_dir)
metrics.refreshed("unchanged", int(sys.argv[3]))
metrics.fetched("fetched", 0.01)
metrics.socketmap.is_now(connections=int(sys.argv[3]), waiting=0, policies=0, is_away=False)
print("counted", flush=True)
sys.stdin.read()
"""

FORK = """
import os, sys
from pathlib import Path
from policies import metrics
metrics.share("worker", Path(sys.argv[1]))
for number in (1, 2):
    if os.fork() == 0:
        metrics.refreshed("failed", number)
        os._exit(0)
    os.wait()
"""

TELL = """
import sys
from pathlib import Path
from policies import metrics
for metric in metrics.collected(Path(sys.argv[1])):
    for sample in metric.samples:
        if sample.value and not sample.name.endswith(("_bucket", "_sum")):
            print(sample.name, *sample.labels.values(), sample.value)
"""


def python(code: str, *arguments: object, check: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=BASE_DIR, capture_output=True, text=True, check=check, timeout=60,
    )  # fmt: skip
    return done.stdout


def told(data_dir: Path) -> set[str]:
    """What another process says that all have counted."""
    return set(python(TELL, data_dir).splitlines())


class Counting:
    """A process that has counted and lives on."""

    def __init__(self, data_dir: Path, kind: str, number: int) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(data_dir), kind, str(number)],
            cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == "counted\n"

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()


@pytest.fixture
def count(tmp_path: Path) -> object:
    started: list[Counting] = []

    def start(kind: str, number: int) -> Counting:
        started.append(Counting(tmp_path, kind, number))
        return started[-1]

    yield start
    for each in started:
        each.kill()


Count = Callable[[str, int], Counting]


def test_processes_count_together_and_what_a_killed_one_counted_stays(
    count: Count, tmp_path: Path
) -> None:
    worker, socketmap = count("worker", 3), count("socketmap", 4)
    everything = {
        "mtasts_refreshed_total unchanged 7.0",
        "mtasts_fetch_duration_seconds_count fetched worker 1.0",
        "mtasts_fetch_duration_seconds_count fetched socketmap 1.0",
    }
    assert told(tmp_path) == everything | {"mtasts_socketmap_connections 7.0"}
    worker.kill()
    assert told(tmp_path) == everything | {"mtasts_socketmap_connections 4.0"}
    socketmap.kill()
    assert told(tmp_path) == everything
    count("worker", 5)
    assert "mtasts_refreshed_total unchanged 12.0" in told(tmp_path)


def test_the_files_of_the_dead_do_not_pile_up(count: Count, tmp_path: Path) -> None:
    for _ in range(3):
        count("worker", 1).kill()
    count("worker", 1)
    files = {path.name for path in (tmp_path / "run" / "metrics").glob("*.db")}
    living = {name for name in files if THE_DEAD not in name}
    assert len(living) == len(SIZES)
    assert len(files - living) == 2


def test_a_fork_counts_for_itself(tmp_path: Path) -> None:
    python(FORK, tmp_path)
    assert told(tmp_path) == {"mtasts_refreshed_total failed 3.0"}


def test_the_files_are_for_their_owner_alone(count: Count, tmp_path: Path) -> None:
    count("web", 1)
    directory = tmp_path / "run" / "metrics"
    assert directory.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.glob("*.db"))


def test_a_file_that_was_cut_off_costs_its_own_counts_alone(tmp_path: Path) -> None:
    files = Files(tmp_path / "metrics")
    broken = tmp_path / "metrics" / "counter_broken.db"
    broken.write_bytes(b"\xff\xff\x00\x00" + b"\xff" * 100)
    (tmp_path / "metrics" / "broken.alive").touch()
    assert files.collected() == []
    assert not broken.exists()


def test_a_directory_that_cannot_be_used_keeps_nobody_from_work(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file, where a directory should be")
    process = Counting(tmp_path, "web", 1)
    process.kill()


def test_a_full_disk_kills_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(OSError, match="No space"):
        Files(tmp_path / "metrics").enter()
    left = {path.name for path in (tmp_path / "metrics").iterdir()}
    assert left == {"lock"}
