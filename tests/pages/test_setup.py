"""The first login: a link that works once, for an hour, and not after the first user."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from mtastsweb.logs import KeyValueFormatter
from mtastsweb.values import Address
from policies import setup
from policies.models import SetupLink

GOOD = {
    "username": "first",
    "password1": "a long and lonely road",
    "password2": "a long and lonely road",
}


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


@pytest.mark.django_db
def test_the_link_makes_the_first_user_who_may_do_all_and_is_logged_in(client: Client) -> None:
    path = path_of(setup.make_link())
    assert client.get(path).status_code == 200
    answer = client.post(path, GOOD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/policies/")
    user = User.objects.get()
    assert (user.username, user.is_superuser, user.is_staff) == ("first", True, True)
    page = client.get("/policies/")
    assert page.status_code == 200
    assert b"smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461" in page.content


@pytest.mark.django_db
def test_the_link_works_once(client: Client) -> None:
    path = path_of(setup.make_link())
    client.post(path, GOOD)
    for again in (Client().get(path), Client().post(path, GOOD | {"username": "second"})):
        assert again.status_code == 410
        assert b"Log in" in again.content
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_the_link_works_for_an_hour(client: Client) -> None:
    path = path_of(setup.make_link())
    SetupLink.objects.update(created=timezone.now() - timedelta(minutes=59))
    assert client.get(path).status_code == 200
    SetupLink.objects.update(created=timezone.now() - timedelta(minutes=61))
    for late in (client.get(path), client.post(path, GOOD)):
        assert late.status_code == 410
        assert b"manage.py setup-link" in late.content
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_link_does_not_work_after_the_first_user(client: Client) -> None:
    path = path_of(setup.make_link())
    User.objects.create_user("somebody")
    assert client.get(path).status_code == 410
    assert client.post(path, GOOD).status_code == 410
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_a_newer_link_ends_the_older(client: Client) -> None:
    older, newer = path_of(setup.make_link()), path_of(setup.make_link())
    assert client.get(older).status_code == 410
    assert client.get(newer).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"username": ""},
        {"password2": "another one entirely"},
        {"password1": "short", "password2": "short"},
        {"password1": "password123", "password2": "password123"},
        {"username": "a b<script>"},
    ],
    ids=str,
)
def test_a_form_with_a_fault_says_so_and_the_link_goes_on(
    wrong: dict[str, str], client: Client
) -> None:
    path = path_of(setup.make_link())
    answer = client.post(path, GOOD | wrong)
    assert answer.status_code == 200
    assert b'role="alert"' in answer.content
    assert b"<script>" not in answer.content.replace(b"<script src", b"")
    assert client.post(path, GOOD).status_code == 303


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["x", "%00", "x" * 2000, "..%2F..", "\N{SNOWMAN}"])
def test_a_made_up_link_is_refused(token: str, client: Client) -> None:
    assert client.get(f"/setup/{token}/").status_code in (404, 410)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_the_link_at_once_one_gets_in() -> None:
    path = path_of(setup.make_link())

    def use(name: str) -> int:
        try:
            return Client().post(path, GOOD | {"username": name}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(use, ["one", "two", "three", "four"]))
    assert statuses == [303, 410, 410, 410]
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_the_command_prints_a_link_until_there_is_a_user(client: Client) -> None:
    printed = io.StringIO()
    call_command("setup-link", stdout=printed)
    link = printed.getvalue().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/setup/[\w-]{32}/", link)
    assert client.get(path_of(link)).status_code == 200
    User.objects.create_user("somebody")
    with pytest.raises(CommandError, match="there is a user already"):
        call_command("setup-link")


HERE = ("localhost", "127.0.0.1", "[::1]")
EVERYWHERE = Address("0.0.0.0", 8000)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("set_", "begins"),
    [
        ({}, "http://127.0.0.1:8000/setup/"),
        ({"web_listen": Address("::1", 80)}, "http://[::1]:80/setup/"),
        # As the container listens: what the browser is told has to be a name that is answered.
        ({"web_listen": EVERYWHERE}, "http://localhost:8000/setup/"),
        ({"web_listen": Address("::", 8000)}, "http://localhost:8000/setup/"),
        ({"web_listen": EVERYWHERE, "allowed_hosts": ("*",)}, "http://localhost:8000/setup/"),
        (
            {"web_listen": Address("192.0.2.1", 81), "allowed_hosts": (".example.org", "x.test")},
            "http://example.org:81/setup/",
        ),
        (
            {"web_listen": Address("192.0.2.1", 81), "allowed_hosts": ("x.test", "192.0.2.1")},
            "http://192.0.2.1:81/setup/",
        ),
        ({"web_https": True, "allowed_hosts": (".example.org",)}, "https://example.org/setup/"),
        ({"web_listen": EVERYWHERE, "public_url": "https://m.test"}, "https://m.test/setup/"),
    ],
    ids=str,
)
def test_the_link_leads_to_where_browsers_are_answered(
    set_: dict[str, Any], begins: str, change_environment: Callable[..., None], settings: Settings
) -> None:
    change_environment(**{"allowed_hosts": HERE, "web_https": False, **set_})
    settings.ALLOWED_HOSTS = list(django_settings.MTASTS.allowed_hosts)
    link = setup.make_link()
    assert link.startswith(begins)
    if not set_.get("public_url"):
        host = link.split("/")[2]
        assert Client().get(path_of(link), headers={"host": host}).status_code == 200


@pytest.mark.django_db
def test_the_token_is_neither_stored_nor_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    link = setup.make_link()
    token = link.rstrip("/").rpartition("/")[2]
    path = path_of(link)
    with caplog.at_level("INFO"):
        client.get(path)
        Client(enforce_csrf_checks=True).post(path, GOOD)
        client.post(path, GOOD)
        client.get(path)
        Client(raise_request_exception=False, headers={"host": "evil.example"}).get(path)
    lines = [KeyValueFormatter().format(record) for record in caplog.records]
    assert any("/setup/…" in line for line in lines)
    assert not any(token in line for line in lines)
    assert not SetupLink.objects.filter(digest__contains=token).exists()


@pytest.mark.django_db
def test_the_link_is_kept_out_of_caches_and_referrers(client: Client) -> None:
    answer = client.get(path_of(setup.make_link()))
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
