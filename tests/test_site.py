"""What holds for every page of the site."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from mtastsweb import client as asking
from mtastsweb.environment import BASE_DIR
from policies import urls
from policies.templatetags.ui import GUIDES
from tests.pages.conftest import As, as_

__all__ = ["as_"]

STRICT = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


def test_healthz_answers_without_login_and_without_database(client: Client) -> None:
    # No mark for the database: a query would fail the test.
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok")


def test_every_answer_carries_the_strict_policy(client: Client) -> None:
    header = client.get("/healthz").headers["Content-Security-Policy"]
    assert set(header.split("; ")) == STRICT


@pytest.mark.django_db
def test_guessing_passwords_is_slowed_down(client: Client) -> None:
    User.objects.create_user("operator", password="right")
    guess = {"username": "operator", "password": "wrong"}
    answers = [client.post("/accounts/login/", guess) for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert answers[-1].status_code == 429
    right = {**guess, "password": "right"}
    assert client.post("/accounts/login/", right).status_code == 429
    elsewhere = client.post("/accounts/login/", right, REMOTE_ADDR="192.0.2.7")
    assert elsewhere.status_code == 302


@pytest.mark.parametrize(
    ("is_behind_proxy", "forwarded", "address"),
    [
        (False, "192.0.2.1", "127.0.0.1"),
        (True, "192.0.2.1", "192.0.2.1"),
        (True, "10.0.0.1, 192.0.2.1", "192.0.2.1"),
        (True, "", "127.0.0.1"),
    ],
)
def test_the_client_is_who_the_proxy_says_and_nobody_else(
    is_behind_proxy: bool,
    forwarded: str,
    address: str,
    change_environment: Callable[..., None],
    rf: RequestFactory,
) -> None:
    change_environment(web_https=is_behind_proxy)
    assert asking.address(rf.get("/", headers={"x-forwarded-for": forwarded})) == address


def run_python(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Another Python, with this environment alone and the product's settings."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "mtastsweb.settings",
            **environ,
        },
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def test_sqlite_writers_queue_and_readers_go_on(tmp_path: Path) -> None:
    code = """
import django; django.setup()
from django.db import connection
print(connection.cursor().execute("PRAGMA journal_mode").fetchone()[0])
print(connection.transaction_mode)
"""
    assert run_python("-c", code, DATA_DIR=str(tmp_path)).stdout.split() == ["wal", "IMMEDIATE"]


def test_a_deployment_passes_the_deployment_checks(tmp_path: Path) -> None:
    checked = run_python(
        BASE_DIR / "manage.py",
        "check",
        "--deploy",
        "--fail-level=WARNING",
        DATA_DIR=str(tmp_path),
        WEB_HTTPS="1",
        ALLOWED_HOSTS="mtasts.example.org",
    )
    assert checked.returncode == 0, checked.stderr


def test_behind_a_tls_proxy_only_probes_are_served_without_tls(tmp_path: Path) -> None:
    code = """
import django; django.setup()
from django.test import Client
client = Client(raise_request_exception=False, headers={"host": "localhost"})
for path in ("/healthz", "/readyz", "/metrics", "/accounts/login/"):
    print(path, client.get(path).status_code == 301)
answer = client.get("/healthz", headers={"x-forwarded-proto": "https"})
print(answer.headers["Strict-Transport-Security"])
"""
    done = run_python("-c", code, DATA_DIR=str(tmp_path), WEB_HTTPS="1")
    assert done.stdout.splitlines() == [
        "/healthz False",
        "/readyz False",
        "/metrics False",
        "/accounts/login/ True",
        "max-age=31536000",
    ], done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/accounts/login/", "pages"),
        ("/policies/", "pages"),
        ("/alerts/", "alerts"),
        ("/exceptions/", "exceptions"),
        ("/glossary/", "how-it-works"),
    ],
)
def test_the_help_leads_to_what_is_written_about_the_page(
    address: str, page: str, as_: As, change_environment: Callable[..., None]
) -> None:
    client = as_("anonymous" if "login" in address else "superuser")
    shown = client.get(address).content.decode()
    assert f"<code>docs/{page}.md</code>" in shown
    assert (BASE_DIR / "docs" / f"{page}.md").is_file()
    for start in ("https://docs.example.org/m/", "https://docs.example.org/m"):
        change_environment(docs_url=start)
        shown = client.get(address).content.decode()
        assert f'<a href="https://docs.example.org/m/{page}.html">this page</a>' in shown
        assert f'<a href="{start}">tutorial, how-tos, reference</a>' in shown


def test_every_page_that_the_help_names_is_written() -> None:
    begins = {str(each.pattern).split("/")[0] for each in urls.urlpatterns}
    for begin, name in GUIDES.items():
        assert begin in begins
        assert (BASE_DIR / "docs" / f"{name}.md").is_file()
