"""The probe: STARTTLS to the mail hosts of those domains that an operator has it switched on for.

It is off unless somebody asks for it, domain by domain: mail hosts are others' machines, and a
connection that brings no mail is a nuisance there. Few at a time, each host once a day.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from policies import leases
from policies.models import MXCheck, PolicyRecord, Probe
from policies.models.policy import NEVER
from policies.mtasts.dns import Resolver
from policies.mtasts.mxfit import compare
from policies.mtasts.starttls import MailProbe, Probed
from policies.politeness import Places
from policies.storable import storable

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from mtastsweb.environment import Environment

log = logging.getLogger(__name__)

LEASE = "probe"
DAILY = timedelta(days=1)
RETRY = timedelta(hours=1)
"""Where the mail hosts are not known yet."""

JITTER = 0.1

THREADS = 4
"""Domains at a time."""

HOSTS = 4
"""Mail hosts of a domain that are probed, best preference first."""

TIMEOUT = 6.0
"""Seconds for one host."""

SMTP_PORT = 25
"""The one that is probed; laboratories have another."""

AT_ONE_ADDRESS = 1
"""Connections to one address at a time: providers have many domains there."""

_KEPT = 300
"""Characters of what a host said."""

Look = Callable[[str], Probed]
Stopping = Callable[[], bool]


def switch_on(domain: str, user: User | None, now: datetime) -> bool:
    """Have the mail hosts of a domain (as rows name it) probed; whether it was off."""
    _, created = Probe.objects.get_or_create(
        domain=domain, defaults={"wanted_at": now, "wanted_by": user, "due": NEVER}
    )
    return created


def switch_off(domain: str) -> bool:
    """Probe a domain no more, and forget what was found; whether it was on."""
    deleted, _ = Probe.objects.filter(domain=domain).delete()
    return bool(deleted)


def of(domain: str) -> Probe | None:
    """Of a domain as rows name it; None where it is off."""
    return Probe.objects.filter(domain=domain).first()


def tick(
    span: timedelta, *, look: Look | None = None, stopping: Stopping = lambda: False
) -> int | None:
    """Probe what is due, and take on no more after `span`; how many domains were.

    None where another process is at it.
    """
    if not Probe.objects.filter(due__lte=timezone.now()).exists():
        return 0
    with leases.held(LEASE, span + timedelta(minutes=2), timezone.now()) as ours:
        return _run(span, look or tool(settings.MTASTS).probe, stopping) if ours else None


@cache
def tool(environment: Environment) -> MailProbe:
    """The one that the settings describe."""
    return MailProbe(
        Resolver(tuple(map(str, environment.nameservers)), timeout=environment.dns_timeout),
        ehlo=environment.probe_ehlo,
        port=environment.probe_port,
        timeout=TIMEOUT,
        ca_file=str(environment.ca_file) if environment.ca_file else None,
        # Never on the port of mail: whoever lets policy hosts be private has not asked for this.
        allow_private=environment.allow_private_addresses and environment.probe_port != SMTP_PORT,
        slot=Places(AT_ONE_ADDRESS).slot,
    )


def _run(span: timedelta, look: Look, stopping: Stopping) -> int:
    ends = time.monotonic() + span.total_seconds()
    done = 0
    with ThreadPoolExecutor(THREADS, thread_name_prefix="probe") as threads:
        while time.monotonic() < ends and not stopping():
            rows = list(Probe.objects.filter(due__lte=timezone.now()).order_by("due")[:THREADS])
            if not rows:
                break
            hosts = [_hosts(row) for row in rows]
            found = threads.map(lambda names: [look(name) for name in names], hosts)
            for row, names, shown in zip(rows, hosts, found, strict=True):
                _save(row, names, shown)
                done += bool(names)
    return done


def _hosts(row: Probe) -> list[str]:
    """The mail hosts to probe, as the last MX check found them."""
    check = MXCheck.objects.filter(domain=row.domain).first()
    return [host.name for host in check.mail_hosts[:HOSTS]] if check else []


def _save(row: Probe, names: Sequence[str], shown: Sequence[Probed]) -> None:
    now = timezone.now()
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    row.due = now + (DAILY if names else RETRY) * jitter
    if names:
        row.probed_at = now
        row.results = [result(each) for each in shown]
        row.fails = _fails(row, shown)
    # Whoever switched it off meanwhile wants no row to come back.
    Probe.objects.filter(pk=row.pk).update(
        due=row.due, probed_at=row.probed_at, results=row.results, fails=row.fails
    )


def result(shown: Probed) -> dict[str, Any]:
    """What a host showed, as it is kept."""
    certificate = shown.certificate
    return {
        "host": shown.host,
        "reason": shown.reason,
        "message": storable(shown.message[:_KEPT]),
        "is_definite": shown.is_definite,
        "address": shown.address,
        "version": shown.version,
        "issuer": storable(certificate.issuer[:_KEPT]) if certificate else "",
        "names": [storable(name[:_KEPT]) for name in certificate.names[:8]] if certificate else [],
        "end": certificate.not_after.isoformat() if certificate else None,
    }


def _fails(row: Probe, shown: Sequence[Probed]) -> bool:
    """Whether no host that fits the policy verifies, and at least one certainly does not."""
    patterns = PolicyRecord.objects.filter(domain=row.domain).values_list("mx", flat=True).first()
    check = MXCheck.objects.filter(domain=row.domain).first()
    if patterns is None or check is None:
        return False
    fitting = {each.host.name for each in compare(check.mail_hosts, patterns).hosts if each.fits}
    counted = [each for each in shown if each.host in fitting]
    return any(each.is_definite for each in counted) and not any(
        each.is_verified for each in counted
    )
