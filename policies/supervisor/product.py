"""The processes that make up the product."""

from __future__ import annotations

import gc
import os
import socket
import sys
from datetime import timedelta
from functools import partial
from importlib import import_module

from django.core.management import execute_from_command_line, get_commands
from django.db import connections
from django.urls import get_resolver

from mtastsweb.environment import BASE_DIR, Environment
from mtastsweb.values import Address, UnixSocket
from policies import heartbeats, occupancy
from policies.supervisor.child import ChildSpec
from policies.supervisor.priority import give_way

_SERVING = 0  # the stage of what takes requests: stopped first …
_WORKING = 1  # … so that the queue's workers can finish what was asked for
_LOADED = (
    "gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "django.core.handlers.wsgi",
    "django.template.loaders.cached", "django_q.cluster", "policies.tasks",
    "policies.mtasts.https", "policies.mtasts.dns", "policies.socketmap.server.run",
)  # fmt: skip
# Mail and pages go before a refresh, where all of them want the processor.
_WORKER_NICE = 10
_CONNECT_TIMEOUT = 0.5  # seconds
# Each worker beats each minute; one that did not for so long is frozen.
_SILENCE = timedelta(minutes=5)


def children(environment: Environment) -> tuple[ChildSpec, ...]:
    """Web and worker, and the socketmap."""
    web = ChildSpec(
        name="web",
        run=_run_web,
        stage=_SERVING,
        is_up=lambda: is_reachable(environment.web_listen),
    )
    worker = ChildSpec(
        name="worker",
        run=_run_worker,
        stage=_WORKING,
        stop_seconds=60.0,
        is_healthy=_worker_beats,
        watch_after=_SILENCE.total_seconds(),
    )
    if "socketmap" not in get_commands():
        return (web, worker)
    socketmap = ChildSpec(
        name="socketmap",
        run=partial(_manage, "socketmap"),
        stage=_SERVING,
        stop_seconds=20.0,  # for the last answers, and to write down what was used
        is_up=lambda: all(map(is_reachable, environment.socketmap_listen)),
    )
    return (web, worker, socketmap)


def child_environ(environment: Environment) -> dict[str, str]:
    """This process's, such that the children find the code and the same data directory."""
    path = os.pathsep.join(filter(None, (str(BASE_DIR), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "DATA_DIR": str(environment.data_dir)}


def is_reachable(listen: Address | UnixSocket) -> bool:
    """Whether something accepts connections there."""
    try:
        if isinstance(listen, UnixSocket):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_CONNECT_TIMEOUT)
                client.connect(str(listen.path))
        else:
            socket.create_connection((listen.host, listen.port), _CONNECT_TIMEOUT).close()
    except OSError:
        return False
    return True


def _worker_beats() -> bool:
    """Whether the worker gave a sign of life lately; one that never did has nothing to be late."""
    try:
        age = heartbeats.age("worker")
    finally:
        connections.close_all()  # asked for too seldom to keep a connection
    return age is None or age < _SILENCE


def load() -> None:
    """Load what the children need, before they are forked: they have it in memory once."""
    for module in _LOADED:
        import_module(module)
    get_resolver().url_patterns  # noqa: B018 - the pages are imported when it is asked for
    gc.collect()
    gc.freeze()  # else looking for garbage copies what all have in common


def _run_web() -> None:
    occupancy.forget()
    sys.argv = ["gunicorn", "--config", "python:mtastsweb.gunicorn"]
    from gunicorn.app.wsgiapp import run

    run()


def _run_worker() -> None:
    give_way(_WORKER_NICE)
    _manage("qcluster")


def _manage(command: str) -> None:
    occupancy.forget()
    execute_from_command_line(["mtastsweb", command])
