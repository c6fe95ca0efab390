"""What the web keeps to on every page, whoever asks for it and however it ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from gunicorn.config import Config

from mtastsweb import gunicorn as gunicorn_settings
from mtastsweb.environment import BASE_DIR
from mtastsweb.urls import urlpatterns as the_products
from mtastsweb.values import Address
from policies.supervisor.product import children
from tests.pages import making
from tests.pages.conftest import As, someone
from tests.test_site import STRICT, run_python

pytestmark = pytest.mark.django_db

SECRET = "s3cret of an exception"


def broken(_request: HttpRequest) -> HttpResponse:
    raise ValueError(SECRET)


urlpatterns = [path("broken/", broken), *the_products]

PAGES = [
    ("anonymous", "/accounts/login/", 200),
    ("anonymous", "/policies/", 302),
    ("anonymous", "/setup/made-up/", 410),
    ("anonymous", "/metrics", 200),
    ("anonymous", "/readyz", 200),
    ("anonymous", "/static/no-such-file", 404),
    ("nobody", "/policies/", 403),
    ("viewer", "/admin/", 403),
    ("superuser", "/policies/", 200),
    ("superuser", "/policies/page.example/", 200),
    ("superuser", "/policies/absent.example/", 404),
    ("superuser", "/outcomes/", 200),
    ("superuser", "/fetches/", 200),
    ("superuser", "/check/", 200),
    ("superuser", "/audit/", 200),
    ("superuser", "/admin/", 200),
    ("superuser", "/admin/policies/policyrecord/", 200),
    ("superuser", "/admin/django_q/schedule/", 200),
    ("superuser", "/admin/auth/user/add/", 200),
    ("superuser", "/no/such/page", 404),
    ("superuser", "/broken/", 500),
]

INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)[^>]*>\s*\S|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE
)


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(("role", "address", "status"), PAGES)
def test_every_page_is_strict(role: str, address: str, status: int, as_: As) -> None:
    making.record("page.example")
    someone("superuser")
    answer = as_(role).get(address)
    assert answer.status_code == status
    headers = answer.headers
    assert set(headers["Content-Security-Policy"].split("; ")) == STRICT
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    if headers["Content-Type"].startswith("text/html"):
        html = answer.content.decode()
        # JSON for scripts is data, and no script runs it.
        html = re.sub(
            r'<script[^>]*type="application/json"[^>]*>.*?</script>', "", html, flags=re.DOTALL
        )
        assert not INLINE.search(html), INLINE.search(html)


@pytest.mark.urls(__name__)
def test_an_error_tells_nothing_of_the_inside(as_: As) -> None:
    for role in ("anonymous", "superuser"):
        someone("superuser")
        page = as_(role).get("/broken/")
        assert SECRET not in page.content.decode()
        assert b"Traceback" not in page.content
        assert settings.SECRET_KEY.encode() not in page.content


def test_a_form_from_elsewhere_does_nothing(as_: As) -> None:
    making.record("page.example")
    client = as_("superuser", enforce_csrf_checks=True)
    for address in ("/policies/page.example/refetch/", "/policies/page.example/delete/"):
        answer = client.post(address, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
    assert client.get("/policies/page.example/").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil", ""])
def test_a_name_that_is_not_ours_is_refused(host: str) -> None:
    answer = Client(raise_request_exception=False).get("/accounts/login/", headers={"host": host})
    assert answer.status_code == 400
    assert b"evil" not in answer.content


@override_settings(ALLOWED_HOSTS=["mtasts.example.org"])
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "10.0.0.7", "evil.example", ""])
def test_probes_alone_answer_to_any_name(host: str) -> None:
    client = Client(raise_request_exception=False, headers={"host": host})
    for address in ("/healthz", "/readyz"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert b"evil" not in answer.content
    for address in ("/", "/healthz/", "/accounts/login/", "/api/v1/status"):
        assert client.get(address).status_code == 400


@override_settings(SECURE_SSL_REDIRECT=True)
@pytest.mark.parametrize(("host", "status"), [("evil.example", 400), ("localhost", 301)])
def test_what_is_refused_or_sent_on_before_any_page_is_strict(host: str, status: int) -> None:
    answer = Client(raise_request_exception=False).get("/policies/", headers={"host": host})
    assert answer.status_code == status
    assert set(answer.headers["Content-Security-Policy"].split("; ")) == STRICT


@pytest.mark.parametrize(
    "way", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_the_login_leads_nowhere_else(way: str) -> None:
    user = someone("viewer")
    user.set_password("right")
    user.save()
    form = {"username": "viewer", "password": "right", "next": way}
    answer = Client().post("/accounts/login/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


class TestSessions:
    def test_the_cookie_is_no_scripts_and_for_no_other_site(self) -> None:
        user = someone("viewer")
        user.set_password("right")
        user.save()
        client = Client()
        client.post("/accounts/login/", {"username": "viewer", "password": "right"})
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert not cookie["domain"]

    def test_a_login_begins_a_new_session(self) -> None:
        user = someone("viewer")
        user.set_password("right")
        user.save()
        client = Client()
        store = SessionStore()
        store["planted"] = True
        store.create()
        planted = str(store.session_key)
        client.cookies[settings.SESSION_COOKIE_NAME] = planted
        client.post("/accounts/login/", {"username": "viewer", "password": "right"})
        assert client.cookies[settings.SESSION_COOKIE_NAME].value != planted

    def test_a_logout_ends_it_for_whoever_has_it(self, as_: As) -> None:
        client = as_("viewer")
        stolen = client.cookies[settings.SESSION_COOKIE_NAME].value
        client.post("/accounts/logout/")
        thief = Client()
        thief.cookies[settings.SESSION_COOKIE_NAME] = stolen
        assert thief.get("/policies/").status_code == 302
        assert not Session.objects.filter(session_key=stolen).exists()

    def test_a_new_password_ends_all_others(self, as_: As) -> None:
        thief = as_("viewer")
        user = someone("viewer")
        user.set_password("another one")
        user.save()
        assert thief.get("/policies/").status_code == 302

    def test_a_role_that_is_taken_is_gone_at_once(self, as_: As) -> None:
        making.record("page.example")
        client = as_("operator")
        someone("operator").groups.clear()
        assert client.post("/policies/page.example/refetch/").status_code == 403

    def test_behind_tls_cookies_never_travel_without(self, tmp_path: Path) -> None:
        code = """
import django; django.setup()
from django.conf import settings
print(settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SECURE_HSTS_SECONDS)
"""
        done = run_python("-c", code, DATA_DIR=str(tmp_path), WEB_HTTPS="1")
        assert done.stdout.split() == ["True", "True", "31536000"]


class TestProxies:
    def test_gunicorn_believes_no_header_about_the_client(self) -> None:
        config = Config()
        config.set("forwarded_allow_ips", gunicorn_settings.forwarded_allow_ips)
        assert config.forwarded_allow_ips == []

    @override_settings(SECURE_PROXY_SSL_HEADER=None)
    def test_without_a_tls_proxy_nobody_is_believed_to_use_tls(self, as_: As) -> None:
        answer = as_("viewer").get("/policies/", headers={"x-forwarded-proto": "https"})
        assert not answer.wsgi_request.is_secure()

    def test_that_is_what_the_settings_say(self) -> None:
        assert not settings.MTASTS.web_https
        assert settings.SECURE_PROXY_SSL_HEADER is None
        assert not settings.USE_X_FORWARDED_HOST


class TestMachine:
    def test_no_command_line_shows_a_secret(self, change_environment: Callable[..., None]) -> None:
        change_environment(
            secret_key=SECRET, metrics_token=SECRET, database_url=f"postgres://u:{SECRET}@h/d"
        )
        # A command, or a fork of the supervisor, whose own command line it keeps.
        started = {child.name: repr(child.run) for child in children(settings.MTASTS)}
        assert {"web", "worker", "socketmap"} <= set(started)
        assert SECRET not in " ".join(started.values())

    def test_all_that_listens_by_default_is_for_this_machine(self, tmp_path: Path) -> None:
        code = """
from mtastsweb import environment
read = environment.read()
print(read.web_listen, read.metrics_listen, *read.socketmap_listen)
"""
        listens = run_python("-c", code, DATA_DIR=str(tmp_path)).stdout.split()
        assert listens == ["127.0.0.1:8000", "127.0.0.1:8462", "127.0.0.1:8461"]

    def test_a_first_run_leaves_nothing_that_others_can_read(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        done = run_python(BASE_DIR / "manage.py", "migrate", DATA_DIR=str(data))
        assert done.returncode == 0, done.stderr
        assert (data / "db.sqlite3").exists()
        assert data.stat().st_mode & 0o077 == 0
        assert (data / "secret-key").stat().st_mode & 0o077 == 0

    def test_a_data_directory_that_others_can_read_is_warned_of(
        self, tmp_path: Path, change_environment: Callable[..., None]
    ) -> None:
        from policies import checks

        change_environment(data_dir=tmp_path)
        tmp_path.chmod(0o700)
        assert list(checks.privacy(settings.MTASTS)) == []
        tmp_path.chmod(0o750)
        (found,) = checks.privacy(settings.MTASTS)
        assert (found.id, found.hint) == ("mtasts.W007", f"chmod go= {tmp_path}")

    def test_addresses_of_the_product_are_loopback_in_the_defaults(self) -> None:
        assert settings.MTASTS.web_listen == Address("127.0.0.1", 8000)
