"""The environment: what is accepted, and how the rest is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtastsweb import environment
from mtastsweb.environment import BASE_DIR, OnDANE, OnDNSError, WrongEnvironment
from mtastsweb.values import Address, MailServer, UnixSocket
from tests.settings import is_of_the_product

WRONG = [
    ("DATA_DIR", "/dev/null"),
    ("DATABASE_URL", "mysql://user:hunter2@db/name"),
    ("DATABASE_URL", "postgres://user:hunter2@db:port/name"),
    ("DATABASE_URL", "postgres://user:hunter2@db"),
    ("DATABASE_URL", "/var/lib/hunter2"),
    ("NODE_NAME", "node one"),
    ("ALLOWED_HOSTS", "https://mtasts.example.org"),
    ("ALLOWED_HOSTS", "mtasts.example.org:8000"),
    ("ALLOWED_HOSTS", "a.example,,b.example"),
    ("ALLOWED_HOSTS", "[127.0.0.1]"),
    ("CSRF_TRUSTED_ORIGINS", "mtasts.example.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://mtasts.example.org/"),
    ("CSRF_TRUSTED_ORIGINS", "ftp://mtasts.example.org"),
    ("DEBUG", "yes"),
    ("DEBUG", "2"),
    ("DOCS_URL", "javascript:alert(1)"),
    ("DOCS_URL", "docs.example.org"),
    ("DOCS_URL", "https://"),
    ("WEB_LISTEN", "8000"),
    ("WEB_LISTEN", ":8000"),
    ("WEB_LISTEN", "127.0.0.1"),
    ("WEB_LISTEN", "127.0.0.1:0"),
    ("WEB_LISTEN", "127.0.0.1:65536"),
    ("WEB_LISTEN", "127.0.0.1:٨٠"),
    ("WEB_LISTEN", "::1:8000"),
    ("WEB_LISTEN", "[::1]"),
    ("WEB_LISTEN", "[::g]:8000"),
    ("WEB_LISTEN", "unix:/run/web"),
    ("WEB_HTTPS", "on"),
    ("SOCKETMAP_LISTEN", "127.0.0.1:8461,"),
    ("SOCKETMAP_LISTEN", "unix:run/socketmap"),
    ("SOCKETMAP_LISTEN", "unix:"),
    ("SOCKETMAP_ON_DNS_ERROR", "Careful"),
    ("SOCKETMAP_DANE", "dane"),
    ("SOCKETMAP_CACHE", "0"),
    ("SOCKETMAP_CACHE", "-1"),
    ("SOCKETMAP_CACHE", "1e5"),
    ("SOCKETMAP_CACHE", "100_000"),
    ("MTASTS_DANE_DOMAINS", "/nonexistent/file"),
    ("WORKERS", "1"),
    ("WORKERS", "two"),
    ("REFRESH_THREADS", "0"),
    ("REFRESH_RATE", "0"),
    ("HISTORY_VERSIONS", "0"),
    ("MTASTS_CONTACT", "nobody"),
    ("MTASTS_NAMESERVERS", "ns.example.org"),
    ("MTASTS_NAMESERVERS", "ns.example.org:53"),
    ("MTASTS_NAMESERVERS", "192.0.2.1:0"),
    ("MTASTS_NAMESERVERS", "192.0.2.1 192.0.2.2"),
    ("MTASTS_NAMESERVERS", "192.0.2.256"),
    ("MTASTS_CA_FILE", "/nonexistent/file"),
    ("MTASTS_POLICY_PORT", "0"),
    ("MTASTS_ALLOW_PRIVATE_ADDRESSES", "-"),
    ("MTASTS_MAX_PER_ADDRESS", "-1"),
    ("MTASTS_PROXY", "socks5://user:hunter2@proxy:1080"),
    ("MTASTS_PROXY", "http://user:hunter2@proxy:port"),
    ("MTASTS_PROBE_EHLO", "mail host"),
    ("MTASTS_PROBE_EHLO", "mail.example.org\r\nQUIT"),
    ("MTASTS_PROBE_PORT", "0"),
    ("MTASTS_PROBE_PORT", "smtp"),
    ("MTASTS_DNS_TIMEOUT", "0"),
    ("MTASTS_DNS_TIMEOUT", "nan"),
    ("MTASTS_FETCH_TIMEOUT", "1m"),
    ("METRICS_TOKEN", "hunter2\x07"),
    ("METRICS_LISTEN", "8462"),
    ("LOG_FORMAT", "JSON"),
    ("REPORT_ORGANIZATION", "Example\nInc."),
    ("REPORT_CONTACT", "postmaster"),
    ("REPORT_DOMAIN", "https://example.org"),
    ("OUTCOME_DAYS", "ninety"),
    ("PUBLIC_URL", "mtasts.example.org"),
    ("PUBLIC_URL", "https://mtasts.example.org/path"),
    ("ALERT_EMAIL_TO", "a@b.example,nobody"),
    ("ALERT_EMAIL_FROM", "nobody"),
    ("ALERT_EMAIL_AT_ONCE", "soon"),
    ("ALERT_DIGEST_HOUR", "24"),
    ("EMAIL_URL", "localhost:25"),
    ("EMAIL_URL", "imap://user:hunter2@host"),
    ("EMAIL_URL", "smtps://user:hunter2@host:port"),
    ("EMAIL_URL", "smtps://user:hunter2@host/path"),
    ("ALERT_WEBHOOK_URL", "ftp://host/hunter2"),
    ("ALERT_WEBHOOK_URL", "https://user:hunter2@host/"),
    ("ALERT_WEBHOOK_URL", "https:///hunter2"),
    ("ALERT_WEBHOOK_SECRET", "hunter2"),
]
SECRETS = {
    "ALERT_WEBHOOK_SECRET", "ALERT_WEBHOOK_URL", "EMAIL_URL",
    "DATABASE_URL", "METRICS_TOKEN", "MTASTS_PROXY", "SECRET_KEY",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(is_of_the_product, list(os.environ)):
        monkeypatch.delenv(name)


def documented_variables() -> set[str]:
    rows = (BASE_DIR / "docs" / "settings.md").read_text(encoding="utf-8").splitlines()
    first_cells = (row.split("|")[1] for row in rows if row.startswith("| `"))
    return {name.strip(" `") for cell in first_cells for name in cell.split(",")}


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    read = environment.read()
    assert read.data_dir == BASE_DIR / "data"
    assert read.is_sqlite
    assert read.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert read.web_listen == Address("127.0.0.1", 8000)
    assert read.socketmap_listen == (Address("127.0.0.1", 8461),)
    assert read.socketmap_on_dns_error is OnDNSError.CAREFUL
    assert read.socketmap_dane is OnDANE.NOTFOUND
    assert (read.socketmap_cache, read.workers, read.outcome_days) == (100_000, 2, 90)
    assert (read.policy_port, read.max_per_address) == (443, 8)
    assert read.probe_port == 25
    assert read.probe_ehlo == read.node_name
    assert (read.dns_timeout, read.fetch_timeout) == (10.0, 60.0)
    assert (read.debug, read.web_https, read.allow_private_addresses) == (False, False, False)
    assert (read.nameservers, read.ca_file, read.dane_domains_file) == ((), None, None)
    assert (read.secret_key, read.metrics_token, read.proxy) == ("", "", "")
    assert read.report_contact == f"postmaster@{read.report_domain}"


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_accepted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongEnvironment) as refusal:
        environment.read()
    (problem,) = refusal.value.problems
    assert problem.startswith(f"{name}=")
    assert "accepted: " in problem
    if name in SECRETS:
        assert "hunter2" not in problem
    else:
        assert repr(value) in problem


def test_every_documented_variable_but_free_text_has_a_wrong_value_here() -> None:
    assert documented_variables() == {name for name, _ in WRONG} | {"SECRET_KEY"}


def test_no_documented_variable_of_a_developer_leaks_into_the_tests() -> None:
    assert [name for name in documented_variables() if not is_of_the_product(name)] == []


def test_all_wrong_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "maybe")
    monkeypatch.setenv("WORKERS", "none")
    with pytest.raises(WrongEnvironment, match=r"(?s)DEBUG='maybe'.*WORKERS='none'"):
        environment.read()


def test_a_mail_server_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.read().email_url == MailServer("localhost", 25)
    monkeypatch.setenv("EMAIL_URL", "smtp+starttls://me%40example.org:p%3Aw%2Fd@mail.example.org")
    starttls = MailServer("mail.example.org", 587, "me@example.org", "p:w/d", starttls=True)
    assert environment.read().email_url == starttls
    monkeypatch.setenv("EMAIL_URL", "smtps://[::1]")
    assert environment.read().email_url == MailServer("::1", 465, tls=True)


def test_a_webhook_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.example.org/mtasts?room=1")
    with pytest.raises(WrongEnvironment, match="ALERT_WEBHOOK_SECRET is not set"):
        environment.read()
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "0123456789abcdef")
    assert environment.read().alert_webhook_url == "https://hooks.example.org/mtasts?room=1"


def test_an_empty_variable_is_as_if_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", " ")
    assert environment.read().workers == 2


def test_lists_and_addresses_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKETMAP_LISTEN", "localhost:1, [::1]:2,unix:/run/map")
    monkeypatch.setenv(
        "MTASTS_NAMESERVERS", "192.0.2.1,192.0.2.2:5353,2001:db8::1,[2001:db8::2]:54"
    )
    monkeypatch.setenv("ALLOWED_HOSTS", "*,.example.org,[::1],127.0.0.1")
    read = environment.read()
    assert read.socketmap_listen == (
        Address("localhost", 1),
        Address("::1", 2),
        UnixSocket(Path("/run/map")),
    )
    assert list(map(str, read.nameservers)) == [
        "192.0.2.1:53",
        "192.0.2.2:5353",
        "[2001:db8::1]:53",
        "[2001:db8::2]:54",
    ]
    assert read.allowed_hosts == ("*", ".example.org", "[::1]", "127.0.0.1")


def test_a_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file\n")
    monkeypatch.setenv("METRICS_TOKEN_FILE", str(tmp_path / "token"))
    assert environment.read().metrics_token == "from the file"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_secret_file_that_cannot_be_read_is_refused(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(WrongEnvironment, match="SECRET_KEY_FILE: accepted: the path"):
        environment.read()


def test_several_machines_need_a_common_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://db.example.org/mtastsweb")
    with pytest.raises(WrongEnvironment, match="SECRET_KEY is not set"):
        environment.read()
    monkeypatch.setenv("SECRET_KEY", "the same everywhere")
    assert not environment.read().is_sqlite


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    monkeypatch.setenv("DATABASE_URL", "postgres://user:hunter2@db/name")
    monkeypatch.setenv("METRICS_TOKEN", "hunter2")
    monkeypatch.setenv("MTASTS_PROXY", "http://user:hunter2@proxy:3128")
    assert "hunter2" not in repr(environment.read())


def test_a_relative_data_directory_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", "here")
    assert environment.read().data_dir == tmp_path / "here"


def test_a_command_names_what_is_wrong_and_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKERS", "none")
    command = [sys.executable, BASE_DIR / "manage.py", "migrate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "The environment is not accepted:",
        "WORKERS='none': accepted: a whole number from 2 to 256",
    ]
