"""Whether DNS answers, and whether what it says can be believed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.conf import settings

from policies.mtasts.dns import Resolver
from policies.mtasts.errors import DNSError
from policies.status.parts import Fact, Item, State, kept

KEPT = 60
"""Seconds for which a look at the resolver is shown again."""

TIMEOUT = 2.0
"""Seconds. The page waits for it."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a question for the root zone came to. `took`: seconds. `failure`: empty for none."""

    took: float
    is_authentic: bool
    is_trusted: bool
    failure: str = ""


def resolver() -> Item:
    """Whether DNS answers, and proves what it says; asked anew once a minute."""
    nameservers = tuple(map(str, settings.MTASTS.nameservers))
    health: Health = kept(
        f"status:resolver:{','.join(nameservers)}", KEPT, lambda: _ask(nameservers)
    )
    facts = (
        Fact("Nameservers", ", ".join(nameservers) or "the system's"),
        Fact("Answered in", "no answer" if health.failure else f"{health.took * 1000:.0f} ms"),
        Fact("Validates DNSSEC", _validates(health)),
    )
    if health.failure:
        todo = (
            "No domain can be looked up; policies in the cache go on. See MTASTS_NAMESERVERS, or"
            f" /etc/resolv.conf. {health.failure}"
        )
        return Item("Resolver", State.BAD, "no answer", facts, todo)
    if health.is_authentic and health.is_trusted:
        return Item("Resolver", State.OK, "answers, validates", facts)
    todo = (
        "DANE cannot be seen, so MTA-STS policies override it for domains that have both (RFC 8461"
        " section 2). Run a validating resolver on this machine, or name one you trust the way to"
        " in MTASTS_NAMESERVERS."
    )
    return Item("Resolver", State.WARN, "answers", facts, todo)


def _ask(nameservers: tuple[str, ...]) -> Health:
    asked = Resolver(nameservers, timeout=TIMEOUT)
    started = time.monotonic()
    try:
        answer = asked.query(".", "SOA")
    except DNSError as error:
        return Health(time.monotonic() - started, False, asked.is_trusted, str(error))
    return Health(time.monotonic() - started, answer.authentic, asked.is_trusted)


def _validates(health: Health) -> str:
    if health.failure:
        return "unknown"
    if not health.is_authentic:
        return "no (the answer for the signed root zone comes without AD)"
    if not health.is_trusted:
        return "it says so, but it is on another machine, and the way there is not named as safe"
    return "yes"
