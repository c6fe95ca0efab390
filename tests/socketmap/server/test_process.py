"""Starting, stopping and dying, with real processes and the laboratory's DNS and HTTPS."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.socketmap.server.client import Client
from tests.socketmap.server.process import Process, environment, free_port, manage

if TYPE_CHECKING:
    from tests.lab.lab import Lab

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

pytestmark = pytest.mark.slow

POLICY = "version: STSv1\nmode: enforce\nmx: mx.lab.test\nmax_age: 86400\n"
SECURE = b"OK secure match=mx.lab.test servername=hostname"

Start = Callable[..., Process]


@pytest.fixture
def environ(tmp_path: Path, lab: Lab) -> dict[str, str]:
    """Of a server with a migrated database; the laboratory serves d0.lab.test to d9."""
    for number in range(10):
        lab.domain(f"d{number}.lab.test", POLICY)
    made = environment(tmp_path, free_port(), **lab.settings())
    manage(["migrate", "--verbosity", "0"], made)
    return made


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Start]:
    started: list[Process] = []

    def make(handed: socket.socket | None = None, **variables: str) -> Process:
        started.append(Process({**environ, **variables}, handed))
        return started[-1]

    yield make
    for process in started:
        process.kill()


def rows(environ: dict[str, str]) -> dict[str, dict[str, object]]:
    lines = manage(["mtasts", "list", "--json"], environ).splitlines()
    return {row["domain"]: row for row in map(json.loads, lines)}


def test_it_answers_soon_after_it_was_started(start: Start) -> None:
    began = time.monotonic()
    with start().client() as client:
        assert client.ask("d1.lab.test") == SECURE
    assert time.monotonic() - began < 10  # the bar is 1.2 s; `make bench` holds it


def test_sigterm_ends_it_after_the_last_answer_and_what_was_used_is_written(
    start: Start, environ: dict[str, str], lab: Lab
) -> None:
    from tests.lab import answers

    gate = lab.gate()
    held = lab["d2.lab.test"]
    held.txt = answers.Held(gate, held.txt)
    server = start()
    with server.client() as client, server.client() as waiting:
        assert client.ask("d1.lab.test") == SECURE
        waiting.send(b"19:postfix d2.lab.test,")
        gate.wait_for_arrivals()
        ended = threading.Thread(target=server.terminate)
        ended.start()
        assert client.is_hung_up()
        gate.open()
        assert waiting.reply() == SECURE
        ended.join()
    assert server.popen.returncode == 0
    found = rows(environ)
    assert found["d1.lab.test"]["last_use"]
    assert found["d2.lab.test"]["last_use"]


def test_after_kill_9_no_policy_is_lost(start: Start, environ: dict[str, str], lab: Lab) -> None:
    first = start()
    with first.client() as client:
        assert client.ask("d1.lab.test") == SECURE
    first.kill()
    lab["d1.lab.test"].policy = None  # what is answered now comes from the database
    with start().client() as client:
        assert client.ask("d1.lab.test") == SECURE


def test_a_restart_behind_a_socket_unit_loses_no_query(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as handed:
        first = start(handed)
        with first.client() as client:
            assert client.ask("d1.lab.test") == SECURE
        asked, failed, stop = [], [], threading.Event()

        def ask_steadily() -> None:
            while not stop.is_set():
                try:
                    asked.append(ask_as_postfix(handed.getsockname()))
                except OSError as error:
                    failed.append(error)

        askers = [threading.Thread(target=ask_steadily) for _ in range(4)]
        for asker in askers:
            asker.start()
        assert first.terminate() == 0
        second = start(handed)
        with second.client() as client:
            assert client.ask("d1.lab.test") == SECURE
        stop.set()
        for asker in askers:
            asker.join()
    assert not failed
    assert set(asked) == {SECURE}


def ask_as_postfix(where: tuple[str, int]) -> bytes:
    """Postfix asks once more on a new connection where the first one is closed."""
    with Client(where) as client:
        try:
            return client.ask("d1.lab.test")
        except (EOFError, ConnectionError):
            pass
    with Client(where) as client:
        return client.ask("d1.lab.test")


def test_several_processes_share_a_port(start: Start, environ: dict[str, str]) -> None:
    servers = [start(), start()]
    answered = set()
    for _ in range(40):
        with servers[0].client() as client:
            answered.add(client.ask("d1.lab.test"))
    assert answered == {SECURE}
    assert servers[0].terminate() == 0
    with servers[1].client() as client:
        assert client.ask("d1.lab.test") == SECURE


def test_an_address_in_use_is_named(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        server = start(SOCKETMAP_LISTEN=f"127.0.0.1:{port}")
        assert server.popen.wait(20) == 1
    assert f"127.0.0.1:{port}" in capfd.readouterr().err


def test_a_sign_of_life_tells_how_it_is(start: Start, environ: dict[str, str]) -> None:
    server = start()
    with server.client() as client:
        client.ask("d1.lab.test")
        client.ask("d1.lab.test")
    server.terminate()
    code = (
        "import json; from policies.models import Heartbeat;"
        " print(json.dumps(Heartbeat.objects.get(kind='socketmap').details))"
    )
    printed = manage(["shell", "--verbosity", "0", "--command", code], environ)
    details = json.loads(printed)
    assert details["misses"] == 1
    assert details["answers"] == 2
    assert details["forced"] == {}
