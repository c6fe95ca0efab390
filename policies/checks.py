"""What Django's checks say of the product's own settings, each with what to do about it.

They run with `manage.py check --deploy` and on /status/, not before every command: a command that
prints JSON has better things to say. None of them asks the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register

from mtastsweb.environment import Environment, OnDANE
from mtastsweb.values import Address
from policies.mtasts import systemresolver
from policies.mtasts.dns import Resolver
from policies.mtasts.tls import TrustStore

TAG = "mtasts"

NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"}
)
_LOOPBACK = ("127.", "::1", "localhost")

Rule = Callable[[Environment], Iterator[CheckMessage]]


def _deployment_check(rule: Rule) -> Rule:
    """Register a rule about the environment."""

    def check(app_configs: Any, **_: Any) -> list[CheckMessage]:
        return list(rule(settings.MTASTS))

    check.__name__ = check.__qualname__ = rule.__name__
    register(TAG, deploy=True)(check)
    return rule


@_deployment_check
def roots(environment: Environment) -> Iterator[CheckMessage]:
    """Without trusted roots no policy can be fetched."""
    try:
        TrustStore(environment.ca_file)
    except ValueError as error:
        yield checks.Error(
            f"No certificate of a policy host can be trusted: {error}.",
            hint="Install the system's roots (apt-get install ca-certificates), or correct"
            " MTASTS_CA_FILE.",
            id="mtasts.E001",
        )


@_deployment_check
def resolver(environment: Environment) -> Iterator[CheckMessage]:
    """Somebody has to answer DNS queries, and DANE needs one who can be believed."""
    if not environment.nameservers and not systemresolver.nameservers():
        yield checks.Error(
            "No nameserver is known.",
            hint="Set MTASTS_NAMESERVERS, or name one in /etc/resolv.conf.",
            id="mtasts.E002",
        )
        return
    asked = Resolver(tuple(map(str, environment.nameservers)))
    if environment.socketmap_dane is not OnDANE.OFF and not asked.is_trusted:
        yield checks.Info(
            "DANE is not looked at: the system's resolver is on another machine, and what it says"
            " of DNSSEC could be forged on the way.",
            hint="Run a validating resolver (unbound) on this machine, or name the one you trust"
            " the way to in MTASTS_NAMESERVERS. Else list domains with DANE in"
            " MTASTS_DANE_DOMAINS, or set SOCKETMAP_DANE=off.",
            id="mtasts.I001",
        )


@_deployment_check
def laboratory(environment: Environment) -> Iterator[CheckMessage]:
    """Settings that are for laboratories and closed networks."""
    if environment.allow_private_addresses:
        yield checks.Warning(
            "Policy hosts may have private addresses.",
            hint="Whoever runs a zone chooses what this machine connects to. Unset"
            " MTASTS_ALLOW_PRIVATE_ADDRESSES unless this is a closed network.",
            id="mtasts.W001",
        )
    if environment.policy_port != 443:
        yield checks.Warning(
            f"Policies are fetched from port {environment.policy_port}; the world serves them at"
            " 443.",
            hint="Unset MTASTS_POLICY_PORT.",
            id="mtasts.W002",
        )


@_deployment_check
def proxy(environment: Environment) -> Iterator[CheckMessage]:
    """A proxy takes over some of our work."""
    if environment.proxy:
        yield checks.Info(
            "Policies are fetched through a proxy, which resolves names by itself: private"
            " addresses are not kept away from it.",
            hint="Have the proxy refuse private addresses.",
            id="mtasts.I002",
        )


@_deployment_check
def web(environment: Environment) -> Iterator[CheckMessage]:
    """Who can reach the pages, and how."""
    if environment.debug:
        yield checks.Warning(
            "DEBUG is on: error pages show settings and code to everybody.",
            hint="Unset DEBUG.",
            id="mtasts.W003",
        )
    if "*" in environment.allowed_hosts:
        yield checks.Warning(
            "Any host name is accepted.",
            hint="List the names of this site in ALLOWED_HOSTS.",
            id="mtasts.W004",
        )
    if not environment.web_https and not _is_loopback(environment.web_listen):
        yield checks.Warning(
            f"The pages are served without TLS at {environment.web_listen}, passwords included.",
            hint="Listen on loopback behind a TLS proxy, and set WEB_HTTPS=1.",
            id="mtasts.W005",
        )


def _is_loopback(listen: Address) -> bool:
    return listen.host.startswith(_LOOPBACK)


@_deployment_check
def database(environment: Environment) -> Iterator[CheckMessage]:
    """SQLite's locks and its shared memory do not work across machines."""
    if not environment.is_sqlite:
        return
    kind = file_system(Path(settings.DATABASES["default"]["NAME"]).parent)
    if kind in NETWORK_FILE_SYSTEMS:
        yield checks.Warning(
            f"The SQLite file is on a network file system ({kind}), where it can be damaged.",
            hint="Put DATA_DIR on a local disk, or use PostgreSQL (DATABASE_URL).",
            id="mtasts.W006",
        )


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system that `path` is on, as Linux calls it; empty where unknown."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:  # no Linux
        return ""
    found = {}
    for line in lines:
        _, where, kind, *_ = line.split(" ")
        found[Path(where.replace("\\040", " "))] = kind
    resolved = path.resolve()
    for candidate in (resolved, *resolved.parents):
        if candidate in found:
            return found[candidate]
    return ""


@_deployment_check
def privacy(environment: Environment) -> Iterator[CheckMessage]:
    """Sessions, password hashes and the secret key are in there."""
    if environment.data_dir.stat().st_mode & 0o077:
        yield checks.Warning(
            f"Other users of this machine may look into the data directory {environment.data_dir}.",
            hint=f"chmod go= {environment.data_dir}",
            id="mtasts.W007",
        )


@_deployment_check
def reports(environment: Environment) -> Iterator[CheckMessage]:
    """Reports name who sends them, to be asked back."""
    if "." not in environment.report_domain:
        yield checks.Info(
            f"Reports would come from {environment.report_domain!r}, which is no name that others"
            " can find.",
            hint="Set REPORT_DOMAIN, REPORT_CONTACT and REPORT_ORGANIZATION.",
            id="mtasts.I003",
        )
