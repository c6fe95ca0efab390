"""Who gives way to whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR

AUTOGROUP = Path("/proc/self/autogroup")

_GIVE_WAY = """
import os
from pathlib import Path
from policies.supervisor.priority import give_way

give_way(10)
print(os.nice(0))
group = Path("/proc/self/autogroup")
print(group.read_text() if group.exists() else "")
"""


def _run(code: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR, check=True, capture_output=True, text=True, start_new_session=True,
    ).stdout.splitlines()  # fmt: skip


def test_the_worker_yields_to_others() -> None:
    assert _run(_GIVE_WAY)[0] == "10"


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel knows no groups of sessions")
def test_it_yields_to_those_of_other_sessions_as_well() -> None:
    assert _run(_GIVE_WAY)[1].endswith("nice 10")


def test_where_that_is_refused_it_goes_on() -> None:
    refusing = """
import os
def refuse(by):
    raise PermissionError(by)
nice, os.nice = os.nice, refuse
from policies.supervisor import priority
priority._AUTOGROUP = priority.Path("/nonexistent/autogroup")
priority.give_way(10)
print(nice(0))
"""
    assert _run(refusing) == ["0"]
