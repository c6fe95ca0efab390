"""Who may ask `/metrics`, and what `/readyz` says to whom."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from mtastsweb.environment import BASE_DIR
from policies import heartbeats, schema
from policies.models import Heartbeat
from tests.metrics.scraping import parsed
from tests.pages.conftest import someone
from tests.socketmap.server.process import environment, free_port, manage
from tests.socketmap.server.running import wait_until

Change = Callable[..., None]

pytestmark = pytest.mark.django_db


class TestMetrics:
    @pytest.mark.parametrize(
        ("address", "headers", "status"),
        [
            ("127.0.0.1", {}, 200),
            ("127.9.9.9", {}, 200),
            ("::1", {}, 200),
            ("192.0.2.1", {}, 403),
            ("10.0.0.1", {}, 403),
            ("", {}, 403),
            ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 403),
            ("127.0.0.1", {"x-forwarded-proto": "https"}, 403),
            ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, 403),
            ("127.0.0.1", {"via": "1.1 proxy"}, 403),
        ],
    )
    def test_without_a_token_are_for_this_machine_alone(
        self, address: str, headers: dict[str, str], status: int
    ) -> None:
        answer = Client().get("/metrics", headers=headers, REMOTE_ADDR=address)
        assert answer.status_code == status

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("127.0.0.1:8000", 200),
            ("localhost", 200),
            ("[::1]:8000", 200),
            ("mtasts.example.org", 200),
            ("evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("127.0.0.1@evil.example", 403),
            ("", 403),
        ],
    )
    def test_without_a_token_a_browser_is_not_led_here_by_another_name(
        self, host: str, status: int, settings: Settings, change_environment: Change
    ) -> None:
        settings.ALLOWED_HOSTS = ["mtasts.example.org"]
        assert Client().get("/metrics", headers={"host": host}).status_code == status
        change_environment(metrics_token="the token")
        headers = {"host": host, "authorization": "Bearer the token"}
        assert Client().get("/metrics", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            ("Bearer the token", 200),
            ("bearer  the token", 200),
            ("Bearer the toke", 401),
            ("Bearer the tokens", 401),
            ("Bearer ", 401),
            ("Basic the token", 401),
            ("the token", 401),
            ("Bearer \u00fc", 401),
            (None, 401),
        ],
    )
    def test_with_a_token_are_for_whoever_has_it(
        self, authorization: str | None, status: int, change_environment: Change
    ) -> None:
        change_environment(metrics_token="the token")
        headers = {} if authorization is None else {"authorization": authorization}
        for address in ("127.0.0.1", "192.0.2.1"):
            answer = Client().get("/metrics", headers=headers, REMOTE_ADDR=address)
            assert answer.status_code == status
            assert ("WWW-Authenticate" in answer.headers) is (status == 401)

    def test_come_in_the_format_that_is_asked_for(self) -> None:
        plain = Client().get("/metrics")
        assert plain.headers["Content-Type"].startswith("text/plain; version=")
        assert parsed(plain.content.decode())
        accept = "application/openmetrics-text; version=1.0.0"
        opened = Client().get("/metrics", headers={"accept": accept})
        assert opened.headers["Content-Type"].startswith("application/openmetrics-text")
        assert opened.content.endswith(b"# EOF\n")


def beat(kind: str, node: str | None = None, **ago: float) -> None:
    at = timezone.now() - timedelta(**ago)
    Heartbeat.objects.create(node=node or heartbeats.node(), kind=kind, at=at)


def asked(role: str = "") -> tuple[int, str]:
    client = Client()
    if role:
        client.force_login(someone(role), "django.contrib.auth.backends.ModelBackend")
    answer = client.get("/readyz")
    return answer.status_code, answer.content.decode()


class TestReadiness:
    def test_a_node_that_works_is_ready(self) -> None:
        beat("worker", seconds=70)
        beat("socketmap", seconds=5)
        assert asked() == (200, "ready\n")

    def test_a_node_that_runs_neither_worker_nor_socketmap_is_ready(self) -> None:
        beat("worker", "elsewhere", minutes=30)
        beat("web", minutes=30)
        beat("socketmap", days=2)
        assert asked() == (200, "ready\n")

    @pytest.mark.parametrize("kind", ["worker", "socketmap"])
    def test_a_process_that_is_silent_is_told_of_after_a_login(self, kind: str) -> None:
        beat(kind, minutes=5)
        assert asked() == (503, "not ready\n")
        told = f"The {kind} of this machine gave no sign of life for 5 minutes.\n"
        assert asked("viewer") == (503, told)

    def test_a_schema_that_is_not_ours_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema, "_compared", lambda _: ([], ["0099_next"]))
        assert asked() == (503, "not ready\n")
        assert "0099_next" in asked("viewer")[1]

    def test_a_database_that_is_away_makes_no_server_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = Client()
        client.force_login(someone("viewer"), "django.contrib.auth.backends.ModelBackend")

        def refuse(*_: object) -> object:
            raise DatabaseError("secret host name")

        with connection.execute_wrapper(refuse):
            answer = client.get("/readyz")
        assert (answer.status_code, answer.content) == (503, b"not ready\n")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of `manage.py metrics --serve` on a database of its own."""
    environ = environment(tmp_path, 1, METRICS_LISTEN=f"127.0.0.1:{free_port()}")
    manage(["migrate"], environ)
    process = subprocess.Popen(
        [sys.executable, str(BASE_DIR / "manage.py"), "metrics", "--serve"], env=environ
    )
    address = f"http://{environ['METRICS_LISTEN']}"
    try:
        wait_until(lambda: is_up(address), 30)
        yield address
    finally:
        process.terminate()
        assert process.wait(20) == 0


def is_up(address: str) -> bool:
    try:
        return get(f"{address}/healthz") == "ok"
    except OSError:
        return False


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return str(answer.read().decode())


class TestWithoutTheWeb:
    def test_a_machine_tells_its_metrics_and_nothing_else(self, served: str) -> None:
        assert ("mtasts_database_up", frozenset()) in parsed(get(f"{served}/metrics"))
        assert get(f"{served}/readyz") == "ready\n"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{served}/accounts/login/")

    def test_the_command_prints_the_same(self, tmp_path: Path) -> None:
        environ = environment(tmp_path, 1)
        manage(["migrate"], environ)
        samples = parsed(manage(["metrics"], environ))
        assert samples["mtasts_database_up", frozenset()] == 1
