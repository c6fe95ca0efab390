"""The data directory and the secret key in it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mtastsweb import data_dir
from mtastsweb.environment import BASE_DIR


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    data_dir.prepare(tmp_path / "new" / "data")
    assert permissions(tmp_path / "new" / "data") == 0o700


def test_a_directory_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    data_dir.prepare(tmp_path)
    assert permissions(tmp_path) == 0o750


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    key = data_dir.secret_key(tmp_path)
    assert len(key) >= 50
    assert data_dir.secret_key(tmp_path) == key
    assert permissions(tmp_path / data_dir.KEY_FILE) == 0o600


def test_of_many_that_start_at_once_all_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: data_dir.secret_key(tmp_path), range(64)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == [data_dir.KEY_FILE]


def test_a_first_command_needs_no_environment_and_leaves_no_one_else_a_key(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, BASE_DIR / "manage.py", "check"]
    subprocess.run(command, env=environ, check=True, capture_output=True, cwd=tmp_path)
    assert permissions(tmp_path / "data") == 0o700
    assert permissions(tmp_path / "data" / data_dir.KEY_FILE) == 0o600
