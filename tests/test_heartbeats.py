"""Signs of life: of threads that give them, and of a web that stands alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from pydoc import locate
from queue import Queue
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from mtastsweb.environment import BASE_DIR
from policies import heartbeats, queue, tasks
from policies.heartbeats import Pulse
from tests.socketmap.server.process import environment, free_port, manage
from tests.socketmap.server.running import wait_until

LIST = (
    "from policies.models import Heartbeat;"
    " print(*Heartbeat.objects.values_list('node', 'kind'), sep='\\n')"
)


def beats(environ: dict[str, str]) -> list[str]:
    return manage(["shell", "--verbosity", "0", "-c", LIST], environ).splitlines()


def test_a_machine_with_the_web_alone_is_seen(tmp_path: Path) -> None:
    environ = environment(
        tmp_path, 1, WEB_LISTEN=f"127.0.0.1:{free_port()}", NODE_NAME="pages.example"
    )
    manage(["migrate", "--verbosity", "0"], environ)
    command = [sys.executable, "-m", "gunicorn", "--config", "python:mtastsweb.gunicorn"]
    web = subprocess.Popen(command, env=environ, cwd=BASE_DIR)
    try:
        wait_until(lambda: beats(environ) == ["('pages.example', 'web')"], 60, pause=0.5)
    finally:
        web.terminate()
        assert web.wait(20) == 0


def test_a_worker_is_seen_that_another_machine_leaves_no_task(tmp_path: Path) -> None:
    environ = environment(tmp_path, 1, NODE_NAME="second.example")
    manage(["migrate", "--verbosity", "0"], environ)
    drop = "from django_q.models import Schedule; Schedule.objects.all().delete()"
    manage(["shell", "--verbosity", "0", "-c", drop], environ)
    command = [sys.executable, str(BASE_DIR / "manage.py"), "qcluster"]
    worker = subprocess.Popen(command, env=environ)
    try:
        wait_until(lambda: beats(environ) == ["('second.example', 'worker')"], 60, pause=0.5)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0


def test_a_worker_beats_each_minute_and_never_waits_for_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, scheduled = [1000.0], []
    monkeypatch.setattr(queue, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(queue, "scheduler", lambda *, broker: scheduled.append(broker))
    sentinel = queue.Sentinel.__new__(queue.Sentinel)
    sentinel.task_queue = Queue(2)
    put = []
    for _ in range(8):
        sentinel._schedule("broker")
        put.append(sentinel.task_queue.qsize())
        now[0] += 30
    assert put == [1, 1, 2, 2, 2, 2, 2, 2]
    assert scheduled == ["broker"] * 8
    assert locate(sentinel.task_queue.get()["func"]) is tasks.beat


def test_a_pulse_outlives_a_database_that_is_away_and_says_so_once_each_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [False, False, True, True, False, False, True]
    tried: list[bool] = []

    def beat(_kind: str) -> None:
        tried.append(answers[len(tried)])
        if len(tried) == len(answers):
            pulse.stopped.set()
        if not tried[-1]:
            raise OperationalError("connection refused")

    monkeypatch.setattr(heartbeats, "beat", beat)
    pulse = Pulse("web", every=0.001)
    pulse.start()
    pulse.join(10)
    assert tried == answers
    assert [record.message for record in caplog.records] == ["no sign of life"] * 2
