"""The machine that the web server runs on."""

from __future__ import annotations

import platform
import shutil
import ssl
from importlib.metadata import PackageNotFoundError, version

from django.conf import settings

from policies.status.parts import Fact, Item, State

LITTLE_SPACE, NO_SPACE = 2**30, 2**27
"""Octets."""


def disk() -> Item:
    """Room for the data."""
    directory = settings.MTASTS.data_dir
    usage = shutil.disk_usage(directory)
    facts = (
        Fact("Data directory", str(directory)),
        Fact("Free", f"{_size(usage.free)} of {_size(usage.total)}"),
    )
    if usage.free < NO_SPACE:
        todo = "Nothing can be stored soon, and mail to new domains goes unprotected. Free some."
        return Item("Disk", State.BAD, "full", facts, todo)
    if usage.free < LITTLE_SPACE:
        return Item("Disk", State.WARN, "getting full", facts, "Free some space.")
    return Item("Disk", State.OK, "has room", facts)


def _size(octets: int) -> str:
    return f"{octets / 2**30:,.1f} GiB"


def versions() -> Item:
    """What the product is made of here."""
    facts = (
        Fact("mtastsweb", _version("mtastsweb", "from its source folder")),
        Fact("Python", platform.python_version()),
        *(Fact(name, _version(package)) for name, package in _PACKAGES),
        Fact("OpenSSL", ssl.OPENSSL_VERSION),
    )
    return Item("Versions", State.IDLE, "as installed", facts)


_PACKAGES = (
    ("Django", "Django"),
    ("django-q2", "django-q2"),
    ("dnspython", "dnspython"),
    ("requests", "requests"),
    ("uvloop", "uvloop"),
)


def _version(package: str, absent: str = "not installed") -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return absent
