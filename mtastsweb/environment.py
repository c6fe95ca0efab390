"""Every environment variable of the product, read in one place (docs/settings.md).

`read()` returns them parsed, or refuses all wrong ones at once.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environs import FileAwareEnv

from mtastsweb import values
from mtastsweb.values import Address, MailServer, Parser, UnixSocket, Value

BASE_DIR = Path(__file__).resolve().parent.parent
"""Where the packages are: the checkout, or site-packages."""

IS_CHECKOUT = (BASE_DIR / "manage.py").is_file()

PROGRAM = ".venv/bin/python manage.py" if IS_CHECKOUT else "mtastsweb"
"""What is typed before each of our commands: where Python's environment is named, from BASE_DIR."""

FILES_DIR = BASE_DIR if IS_CHECKOUT else Path(__file__).resolve().parent
"""Where `templates` and `static` are."""


class OnDNSError(StrEnum):
    """What the socketmap answers when DNS fails and no valid policy is cached."""

    NOTFOUND = "notfound"
    TEMP = "temp"
    CAREFUL = "careful"


class OnDANE(StrEnum):
    """What the socketmap answers for an enforce policy where DANE is proven to be usable."""

    NOTFOUND = "notfound"
    DANE_ONLY = "dane-only"
    OFF = "off"


class LogFormat(StrEnum):
    """What a log line looks like."""

    KEY_VALUE = "key-value"
    JSON = "json"


class WrongEnvironment(ImproperlyConfigured):
    """Some variables hold what cannot be accepted; the message has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(("The environment is not accepted:", *problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The variables of docs/settings.md. Deadlines are in seconds."""

    data_dir: Path
    node_name: str
    database_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    allowed_hosts: tuple[str, ...]
    csrf_trusted_origins: tuple[str, ...]
    debug: bool
    web_listen: Address
    web_https: bool
    docs_url: str
    socketmap_listen: tuple[Address | UnixSocket, ...]
    socketmap_on_dns_error: OnDNSError
    socketmap_dane: OnDANE
    socketmap_cache: int
    dane_domains_file: Path | None
    workers: int
    refresh_threads: int
    refresh_rate: int
    contact: str
    nameservers: tuple[Address, ...]
    ca_file: Path | None
    policy_port: int
    allow_private_addresses: bool
    max_per_address: int
    proxy: str = field(repr=False)
    probe_ehlo: str
    probe_port: int
    dns_timeout: float
    fetch_timeout: float
    metrics_token: str = field(repr=False)
    metrics_listen: Address
    log_format: LogFormat
    report_organization: str
    report_contact: str
    report_domain: str
    outcome_days: int
    history_versions: int
    public_url: str
    email_url: MailServer = field(repr=False)
    alert_email_to: tuple[str, ...]
    alert_email_from: str
    alert_email_at_once: bool
    alert_digest_hour: int
    alert_webhook_url: str = field(repr=False)
    alert_webhook_secret: str = field(repr=False)

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite:")


class _Reader:
    """Reads variables one by one and keeps what is wrong with them for `refuse_problems`."""

    def __init__(self) -> None:
        self._variables = FileAwareEnv(strip_whitespace=True)
        self.problems: list[str] = []

    def value(
        self, name: str, parse: Parser[Value], default: Value, *, is_secret: bool = False
    ) -> Value:
        """The parsed variable; `default` where it is unset or empty, and where it is wrong."""
        try:
            given = str(self._variables.str(name, "")).strip()
        except (ValueError, OSError):
            self.problems.append(f"{name}_FILE: accepted: the path of a readable text file")
            return default
        if not given:
            return default
        try:
            return parse(given)
        except ValueError as error:
            shown = "(not shown)" if is_secret else repr(given)
            self.problems.append(f"{name}={shown}: accepted: {error}")
            return default

    def path(self, name: str) -> Path | None:
        """The path of a file that can be read, or None where the variable is unset."""
        unset = Path()
        path = self.value(name, values.readable_file, unset)
        return None if path == unset else path

    def secret(self, name: str, parse: Parser[str] = values.text, default: str = "") -> str:
        return self.value(name, parse, default, is_secret=True)


def read() -> Environment:
    """The environment of this process. Raises WrongEnvironment."""
    reader = _Reader()
    host = socket.gethostname()
    # Nobody's data belongs into site-packages.
    home = BASE_DIR if IS_CHECKOUT else Path.cwd()
    data_dir = reader.value("DATA_DIR", values.directory, home / "data")
    environment = Environment(
        data_dir=data_dir,
        node_name=reader.value("NODE_NAME", values.host_name, host),
        database_url=reader.secret(
            "DATABASE_URL", values.database_url, f"sqlite:///{data_dir / 'db.sqlite3'}"
        ),
        secret_key=reader.secret("SECRET_KEY"),
        allowed_hosts=reader.value(
            "ALLOWED_HOSTS", values.many(values.allowed_host), ("localhost", "127.0.0.1", "[::1]")
        ),
        csrf_trusted_origins=reader.value("CSRF_TRUSTED_ORIGINS", values.many(values.origin), ()),
        debug=reader.value("DEBUG", values.boolean, False),
        web_listen=reader.value("WEB_LISTEN", values.tcp_address, Address("127.0.0.1", 8000)),
        web_https=reader.value("WEB_HTTPS", values.boolean, False),
        docs_url=reader.value("DOCS_URL", values.web_address, ""),
        socketmap_listen=reader.value(
            "SOCKETMAP_LISTEN", values.many(values.listen_address), (Address("127.0.0.1", 8461),)
        ),
        socketmap_on_dns_error=reader.value(
            "SOCKETMAP_ON_DNS_ERROR", values.one_of(OnDNSError), OnDNSError.CAREFUL
        ),
        socketmap_dane=reader.value("SOCKETMAP_DANE", values.one_of(OnDANE), OnDANE.NOTFOUND),
        socketmap_cache=reader.value(
            "SOCKETMAP_CACHE", values.whole_number(1, 100_000_000), 100_000
        ),
        dane_domains_file=reader.path("MTASTS_DANE_DOMAINS"),
        workers=reader.value("WORKERS", values.whole_number(2, 256), 2),
        refresh_threads=reader.value("REFRESH_THREADS", values.whole_number(1, 1024), 128),
        refresh_rate=reader.value("REFRESH_RATE", values.whole_number(1, 100_000), 150),
        contact=reader.value("MTASTS_CONTACT", values.mailbox, ""),
        nameservers=reader.value("MTASTS_NAMESERVERS", values.many(values.nameserver), ()),
        ca_file=reader.path("MTASTS_CA_FILE"),
        policy_port=reader.value("MTASTS_POLICY_PORT", values.whole_number(1, 65535), 443),
        allow_private_addresses=reader.value(
            "MTASTS_ALLOW_PRIVATE_ADDRESSES", values.boolean, False
        ),
        max_per_address=reader.value("MTASTS_MAX_PER_ADDRESS", values.whole_number(0, 10_000), 8),
        proxy=reader.secret("MTASTS_PROXY", values.proxy_url),
        probe_ehlo=reader.value("MTASTS_PROBE_EHLO", values.host_name, host),
        probe_port=reader.value("MTASTS_PROBE_PORT", values.whole_number(1, 65535), 25),
        dns_timeout=reader.value("MTASTS_DNS_TIMEOUT", values.seconds(0.1, 600), 10.0),
        fetch_timeout=reader.value("MTASTS_FETCH_TIMEOUT", values.seconds(0.1, 600), 60.0),
        metrics_token=reader.secret("METRICS_TOKEN"),
        metrics_listen=reader.value(
            "METRICS_LISTEN", values.tcp_address, Address("127.0.0.1", 8462)
        ),
        log_format=reader.value("LOG_FORMAT", values.one_of(LogFormat), LogFormat.KEY_VALUE),
        report_organization=reader.value("REPORT_ORGANIZATION", values.text, host),
        report_contact=reader.value("REPORT_CONTACT", values.mailbox, f"postmaster@{host}"),
        report_domain=reader.value("REPORT_DOMAIN", values.host_name, host),
        outcome_days=reader.value("OUTCOME_DAYS", values.whole_number(0, 36_500), 90),
        history_versions=reader.value("HISTORY_VERSIONS", values.whole_number(1, 10_000), 50),
        public_url=reader.value("PUBLIC_URL", values.web_origin, ""),
        email_url=reader.value(
            "EMAIL_URL", values.mail_server, MailServer("localhost", 25), is_secret=True
        ),
        alert_email_to=reader.value("ALERT_EMAIL_TO", values.many(values.mailbox), ()),
        alert_email_from=reader.value("ALERT_EMAIL_FROM", values.mailbox, f"mtastsweb@{host}"),
        alert_email_at_once=reader.value("ALERT_EMAIL_AT_ONCE", values.boolean, False),
        alert_digest_hour=reader.value("ALERT_DIGEST_HOUR", values.whole_number(0, 23), 6),
        alert_webhook_url=reader.secret("ALERT_WEBHOOK_URL", values.http_url),
        alert_webhook_secret=reader.secret("ALERT_WEBHOOK_SECRET", values.long_secret),
    )
    if environment.alert_webhook_url and not environment.alert_webhook_secret:
        reader.problems.append(
            "ALERT_WEBHOOK_SECRET is not set: accepted: 16 characters or more, because"
            " ALERT_WEBHOOK_URL is set, and a receiver has to tell our messages from others"
        )
    if not (environment.is_sqlite or environment.secret_key):
        reader.problems.append(
            "SECRET_KEY is not set: accepted: a long random text, the same on every machine,"
            " because DATABASE_URL is not SQLite"
        )
    if reader.problems:
        raise WrongEnvironment(reader.problems)
    return environment
