"""nginx and Caddy as shipped, with TLS, in front of the product with WEB_HTTPS=1."""

from __future__ import annotations

import http.client
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

import trustme

from mtastsweb.environment import BASE_DIR
from tests.needs import find_program, needs_program
from tests.socketmap.server.process import environment, free_port, manage

NAME = "mtasts.example.org"
CLIENT = "127.0.0.2"
"""Where the browser is, so that it is not taken for the proxy."""

PATIENCE = 60.0  # seconds

pytestmark = pytest.mark.xdist_group("proxies")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str


class Site:
    """The product behind a proxy, asked as a browser would."""

    def __init__(self, http_port: int, https_port: int, trust: ssl.SSLContext) -> None:
        self.http_port = http_port
        self.https_port = https_port
        self._trust = trust

    def plain(self, path: str) -> Answer:
        with socket.create_connection(("127.0.0.1", self.http_port), 20) as sock:
            return _ask(sock, "GET", path)

    def get(self, path: str, **headers: str) -> Answer:
        return self._send("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        return self._send("POST", path, urlencode(fields), headers)

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named |= {"Content-Type": "application/x-www-form-urlencoded"}
        with (
            socket.create_connection(("127.0.0.1", self.https_port), 20, (CLIENT, 0)) as raw,
            self._trust.wrap_socket(raw, server_hostname=NAME) as sock,
        ):
            return _ask(sock, method, path, body, named)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The web, migrated, with a login; its environment."""
    environ = environment(
        tmp_path_factory.mktemp("proxied"), free_port(),
        WEB_LISTEN=f"127.0.0.1:{free_port()}", WEB_HTTPS="1", ALLOWED_HOSTS=NAME,
        DJANGO_SUPERUSER_PASSWORD="right",
    )  # fmt: skip
    manage(["migrate", "--verbosity", "0"], environ)
    manage(["createsuperuser", "--noinput", "--username=root", "--email=r@x.example"], environ)
    command = [sys.executable, "-m", "gunicorn", "--config", "python:mtastsweb.gunicorn"]
    with running(command, environ, port=int(environ["WEB_LISTEN"].rpartition(":")[2])):
        yield environ


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("nginx", marks=needs_program("nginx", apt="nginx-light")),
        pytest.param("caddy", marks=needs_program("caddy", apt="caddy")),
    ],
)
def site(
    request: pytest.FixtureRequest,
    product: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    path = tmp_path_factory.mktemp(request.param)
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME)
    certificate.private_key_pem.write_to_path(path / "key.pem")
    for number, each in enumerate(certificate.cert_chain_pems):
        each.write_to_path(path / "chain.pem", append=number > 0)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    found = Site(free_port(), free_port(), trust)
    make = nginx if request.param == "nginx" else caddy
    command = make(path, found, product["WEB_LISTEN"])
    with running(command, {"HOME": str(path), "PATH": "/usr/bin"}, port=found.https_port):
        yield found


def nginx(path: Path, site: Site, web: str) -> list[str]:
    """The command that runs the shipped file, but for its ports and certificate."""
    text = (BASE_DIR / "deploy/nginx/mtastsweb.conf").read_text()
    text = re.sub(r"listen \[::\].*\n", "", text)
    for old, new in (
        ("listen 80;", f"listen {site.http_port};"),
        ("listen 443 ", f"listen {site.https_port} "),
        ("/etc/letsencrypt/live/mtasts.example.org/fullchain.pem", str(path / "chain.pem")),
        ("/etc/letsencrypt/live/mtasts.example.org/privkey.pem", str(path / "key.pem")),
        ("127.0.0.1:8000", web),
    ):
        assert old in text
        text = text.replace(old, new)
    folders = "".join(
        f"{kind}_temp_path {path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (path / "nginx.conf").write_text(
        f"daemon off;\npid {path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{text}}}\n"
    )
    return [find_program("nginx") or "nginx", "-c", str(path / "nginx.conf"), "-e", "stderr"]


def caddy(path: Path, site: Site, web: str) -> list[str]:
    """The same for the shipped Caddyfile."""
    text = (BASE_DIR / "deploy/caddy/Caddyfile").read_text()
    assert "127.0.0.1:8000" in text
    text = text.replace("127.0.0.1:8000", web).replace(
        f"{NAME} {{", f"{NAME} {{\n\ttls {path}/chain.pem {path}/key.pem", 1
    )
    ports = f"\thttp_port {site.http_port}\n\thttps_port {site.https_port}\n"
    (path / "Caddyfile").write_text(
        f"{{\n\tadmin off\n\tskip_install_trust\n\tstorage file_system {path}\n{ports}}}\n{text}"
    )
    return [find_program("caddy") or "caddy", "run", "--config", str(path / "Caddyfile"),
            "--adapter", "caddyfile"]  # fmt: skip


def test_http_is_sent_to_https(site: Site) -> None:
    response = site.plain("/policies/?q=x")
    assert response.status in {301, 308}
    assert response.headers["Location"] == f"https://{NAME}/policies/?q=x"


def test_pages_come_over_https_with_hsts_and_no_further_redirect(site: Site) -> None:
    answer = site.get("/accounts/login/")
    assert answer.status == 200
    assert "csrfmiddlewaretoken" in answer.body
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers.get_all("Content-Security-Policy")
    assert site.get("/healthz").status == 200


def test_one_can_log_in_and_cookies_are_for_https_alone(site: Site) -> None:
    answer = log_in(site, "right")
    assert answer.status == 302
    cookies = answer.headers.get_all("Set-Cookie") or []
    assert any(cookie.startswith("sessionid=") for cookie in cookies)
    for cookie in cookies:
        assert "Secure" in cookie
        assert "SameSite=Lax" in cookie


def test_who_asks_is_the_browser_whatever_it_claims(site: Site, product: dict[str, str]) -> None:
    log_in(site, "wrong", X_Forwarded_For="203.0.113.9", X_Forwarded_Host="evil.example")
    database = Path(product["DATA_DIR"], "db.sqlite3")
    with closing(sqlite3.connect(database)) as opened:
        seen = opened.execute("SELECT DISTINCT ip_address FROM axes_accessattempt").fetchall()
    assert seen == [(CLIENT,)]


def test_another_host_name_is_not_served(site: Site) -> None:
    assert "csrfmiddlewaretoken" not in site.get("/accounts/login/", Host="evil.example").body


def test_metrics_stay_inside(site: Site) -> None:
    assert site.get("/metrics").status == 404


def log_in(site: Site, password: str, **headers: str) -> Answer:
    form = site.get("/accounts/login/")
    cookie = (form.headers["Set-Cookie"] or "").partition(";")[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.body)
    assert token is not None
    fields = {"username": "root", "password": password, "csrfmiddlewaretoken": token[1]}
    return site.post(
        "/accounts/login/", fields, Cookie=cookie, Referer=f"https://{NAME}/", **headers
    )


@contextmanager
def running(command: list[str], environ: dict[str, str], *, port: int) -> Iterator[None]:
    """The program, from when its port answers to the end of the block."""
    process = subprocess.Popen(command, env=environ, cwd=BASE_DIR)
    give_up = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "it has ended"
                assert time.monotonic() < give_up
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _ask(
    sock: socket.socket,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection(NAME)
    connection.sock = sock
    connection.request(method, path, body, {"Host": NAME, **(headers or {})})
    with connection.getresponse() as response:
        return Answer(response.status, response.headers, response.read().decode())
