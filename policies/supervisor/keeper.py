"""A process that waits for the supervisor's end, and clears up if children are left then.

It reads a pipe whose other end the supervisor alone holds: the pipe ends with the supervisor, a
kill -9 included. Run as `python -m policies.supervisor.keeper RUN_DIR PATIENCE PID`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policies.supervisor.session import end_leftovers

START_LOCK = "start.lock"
CLEAR_UP_LOCK = "clear-up.lock"

_ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def kept(run_dir: Path, patience: float) -> Iterator[None]:
    """Has a keeper watch over this process until the block ends."""
    keeper = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", __name__, str(run_dir), str(patience), str(os.getpid())],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not meant for it
    )
    try:
        yield
    finally:
        keeper.communicate()


def _keep(run_dir: Path, patience: float, supervisor: str) -> None:
    sys.stdin.read()
    with (run_dir / CLEAR_UP_LOCK).open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another supervisor writes its number before it clears up, and starts children after:
        # what is marked now is either the dead one's, or none of our business.
        if (run_dir / START_LOCK).read_text(encoding="ascii") == supervisor:
            end_leftovers(run_dir, patience)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
