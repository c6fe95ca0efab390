"""Parsers of environment values.

Each takes the text of a variable and returns its value, or raises ValueError whose message is
what would have been accepted, worded to follow "accepted:".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import dj_database_url

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=StrEnum)
Parser = Callable[[str], Value]

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
_DIGITS = re.compile(r"[0-9]{1,9}")
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_MAILBOX = re.compile(r"[^@\s]+@[^@\s]+")
_BOOLEANS = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name or IP address, without brackets) and its TCP or UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `tls`: from the first octet; `starttls`: begun by that command."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: bool = False


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


def text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("one line without control characters")
    return value


def boolean(value: str) -> bool:
    truth = _BOOLEANS.get(value.lower())
    if truth is None:
        raise ValueError("0 or 1 (also false or true)")
    return truth


def whole_number(least: int, most: int) -> Parser[int]:
    """Of ASCII digits only: `int()` alone takes "8_0", "+5" and other scripts' digits."""

    def parse(value: str) -> int:
        if not _DIGITS.fullmatch(value) or not least <= int(value) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(value)

    return parse


def seconds(least: float, most: float) -> Parser[float]:
    def parse(value: str) -> float:
        if not _SECONDS.fullmatch(value) or not least <= float(value) <= most:
            raise ValueError(f"seconds from {least:g} to {most:g}")
        return float(value)

    return parse


def one_of(choices: type[Choice]) -> Parser[Choice]:
    def parse(value: str) -> Choice:
        try:
            return choices(value)
        except ValueError:
            raise ValueError(f"one of {', '.join(choices)}") from None

    return parse


def many(parse_one: Parser[Value]) -> Parser[tuple[Value, ...]]:
    """Of values separated by commas; blanks around them do not matter, empty ones are refused."""

    def parse(value: str) -> tuple[Value, ...]:
        return tuple(parse_one(part.strip()) for part in value.split(","))

    return parse


def directory(value: str) -> Path:
    """The absolute path of a directory, which need not exist yet."""
    path = Path(value).absolute()
    if path.exists() and not path.is_dir():
        raise ValueError("a directory, or a path where one can be made")
    return path


def readable_file(value: str) -> Path:
    path = Path(value).absolute()
    try:
        with path.open("rb"):
            return path
    except OSError:
        raise ValueError("the path of a readable file") from None


def tcp_address(value: str) -> Address:
    """`host:port` or `[v6]:port`."""
    address = _address(value, default_port=None)
    if address is None:
        raise ValueError("host:port or [v6]:port")
    return address


def listen_address(value: str) -> Address | UnixSocket:
    """`host:port`, `[v6]:port` or `unix:/path`."""
    if value.startswith("unix:/"):
        return UnixSocket(Path(value.removeprefix("unix:")))
    address = _address(value, default_port=None)
    if address is None:
        raise ValueError("host:port, [v6]:port or unix:/path, several with commas")
    return address


def nameserver(value: str) -> Address:
    """An IP address, or `address:port` or `[v6]:port`; port 53 where none is given."""
    address = _ip_address(value, 53) or _address(value, default_port=53)
    if address is None or _ip_address(address.host, address.port) is None:
        raise ValueError("IP addresses, address:port or [v6]:port, several with commas")
    return address


def allowed_host(value: str) -> str:
    """A member of Django's ALLOWED_HOSTS."""
    name = value.removeprefix(".")
    if value == "*" or _HOST.fullmatch(name) or _bracketed_ipv6(name):
        return value
    raise ValueError("host names without scheme or port, .example.org, [v6] or *, with commas")


def origin(value: str) -> str:
    """A member of Django's CSRF_TRUSTED_ORIGINS."""
    scheme, separator, host = value.partition("://")
    if scheme in {"http", "https"} and separator and host and not set(host) & set("/?#@ "):
        return value
    raise ValueError("https://host or https://*.example.org, with :port if any, with commas")


def web_address(value: str) -> str:
    """Of a page that browsers are sent to."""
    try:
        url = urlsplit(value)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not url.hostname or not value.isprintable():
        raise ValueError("https://host/path/, or with http")
    return value


def mailbox(value: str) -> str:
    if not _MAILBOX.fullmatch(value):
        raise ValueError("a mail address")
    return value


def host_name(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("a host name in A-labels")
    return value


def proxy_url(value: str) -> str:
    """The URL of an HTTP proxy; user and password if it wants them."""
    accepted = "http://host:port or http://user:password@host:port"
    try:
        url = urlsplit(value)
        is_complete = url.hostname and url.port
    except ValueError:
        raise ValueError(accepted) from None
    if url.scheme not in {"http", "https"} or not is_complete or url.path not in {"", "/"}:
        raise ValueError(accepted)
    return value


def mail_server(value: str) -> MailServer:
    """`smtp://host:port`, `smtp+starttls://user:password@host` or `smtps://…`."""
    accepted = (
        "smtp://host:port, smtp+starttls://user:password@host:port or"
        " smtps://user:password@host:port, with special characters as %XX"
    )
    ports = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
    try:
        url = urlsplit(value)
        port = url.port or ports[url.scheme]
    except (ValueError, KeyError):
        raise ValueError(accepted) from None
    host = url.hostname or ""
    is_plain = url.path in {"", "/"} and not url.query and not url.fragment
    if not is_plain or not (_HOST.fullmatch(host) or _ip_address(host, port)):
        raise ValueError(accepted)
    return MailServer(
        host,
        port,
        unquote(url.username or ""),
        unquote(url.password or ""),
        tls=url.scheme == "smtps",
        starttls=url.scheme == "smtp+starttls",
    )


def web_origin(value: str) -> str:
    """Where browsers reach the site, without a path."""
    scheme, separator, host = value.removesuffix("/").partition("://")
    if scheme in {"http", "https"} and separator and host and not set(host) & set("/?#@* "):
        return f"{scheme}://{host}"
    raise ValueError("https://host, with :port if any")


def http_url(value: str) -> str:
    accepted = "http://host/path or https://host/path, without user and fragment"
    try:
        url = urlsplit(value)
        is_complete = bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError(accepted) from None
    is_clean = url.username is None and not url.fragment and value.isascii()
    if url.scheme not in {"http", "https"} or not (is_complete and is_clean) or " " in value:
        raise ValueError(accepted)
    return value


def long_secret(value: str) -> str:
    if len(value) < 16 or not value.isprintable():
        raise ValueError("16 characters or more, on one line")
    return value


def database_url(value: str) -> str:
    """A URL that dj-database-url understands, of a database that the product supports."""
    accepted = "postgres://user:password@host:port/name or sqlite:////path/of/file"
    if not value.startswith(("postgres://", "postgresql://", "sqlite:///")):
        raise ValueError(accepted)
    try:
        name = dj_database_url.parse(value)["NAME"]
    except (ValueError, KeyError):
        raise ValueError(accepted) from None
    if not name:
        raise ValueError(accepted)
    return value


def _address(value: str, default_port: int | None) -> Address | None:
    host, separator, digits = value.rpartition(":")
    if not separator or value.endswith("]"):
        host, digits = value, str(default_port or "")
    if not _DIGITS.fullmatch(digits) or not 0 < int(digits) < 65536:
        return None
    if _bracketed_ipv6(host):
        return Address(host[1:-1], int(digits))
    return Address(host, int(digits)) if _HOST.fullmatch(host) else None


def _ip_address(host: str, port: int) -> Address | None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return Address(host, port)


def _bracketed_ipv6(value: str) -> bool:
    if not (value.startswith("[") and value.endswith("]")):
        return False
    try:
        ipaddress.IPv6Address(value[1:-1])
    except ValueError:
        return False
    return True
