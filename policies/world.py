"""What the cache asks of the outside: DNS, policy hosts and the time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

from mtastsweb import requestid
from policies import metrics
from policies.mtasts.dial import Slot, no_limit
from policies.mtasts.dns import Resolver
from policies.mtasts.errors import (
    DNSError,
    FetchError,
    MTASTSError,
    NoRecordError,
    PolicySyntaxError,
    RecordError,
)
from policies.mtasts.https import PolicyFetcher
from policies.mtasts.mailhosts import MailHosts, mail_hosts
from policies.politeness import REASON as BUSY
from policies.tlsrpt.failures import failure_details

if TYPE_CHECKING:
    from mtastsweb.environment import Environment
    from policies.decide import Fetched, Look
    from policies.mtasts import Domain

log = logging.getLogger(__name__)

FETCHED = "fetched"


MX_TIMEOUT = 5.0
"""Seconds for an MX look-up: no mail waits for it, and many are to be made."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a TXT answer came to, and for how many seconds DNS says that it holds."""

    look: Look
    ttl: int = 0


def _nobody_to_ask(domain: Domain) -> MailHosts | DNSError:
    return DNSError(f"nobody was asked for the MX records of {domain.ascii}", reason="not-asked")


def utc_now() -> datetime:
    """As Django's own, which looks at the settings each time; a lookup asks a dozen times."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """The outside, as functions, so that tests can set the clock and play failures, and whoever
    keeps few database connections can lend them out meanwhile.

    `look`, `fetch` and `mail` return what went wrong as a value: for the cache a failure is an
    answer. `mail`: the mail hosts of a domain.
    """

    look: Callable[[Domain], Looked]
    fetch: Callable[[Domain], Fetched]
    now: Callable[[], datetime] = utc_now
    wait: Callable[[float], None] = time.sleep
    mail: Callable[[Domain], MailHosts | DNSError] = _nobody_to_ask


def real(resolver: Resolver, fetcher: PolicyFetcher) -> World:
    """The world over DNS and HTTPS; each lookup and each fetch is counted."""

    def look(domain: Domain) -> Looked:
        began = time.monotonic()
        looked = ask(domain)
        metrics.looked(_look_outcome(looked.look), time.monotonic() - began)
        return looked

    def ask(domain: Domain) -> Looked:
        try:
            answer = resolver.lookup_record(domain)
        except RecordError as error:
            return Looked(error, error.ttl)
        except DNSError as error:
            return Looked(error)
        return Looked(answer.record, answer.ttl)

    def fetch(domain: Domain) -> Fetched:
        began = time.monotonic()
        try:
            fetched: Fetched = fetcher.fetch(domain)
        except (FetchError, PolicySyntaxError) as error:
            fetched = error
        _note_fetch(domain, fetched, time.monotonic() - began)
        return fetched

    def mail(domain: Domain) -> MailHosts | DNSError:
        try:
            return mail_hosts(resolver, domain, min(resolver.timeout, MX_TIMEOUT))
        except DNSError as error:
            return error

    return World(look, fetch, mail=mail)


def _look_outcome(look: Look) -> str:
    match look:
        case NoRecordError():
            return "no-record"
        case RecordError():
            return "bad-record"
        case DNSError():
            return "dns-error"
    return "record"


def _note_fetch(domain: Domain, fetched: Fetched, seconds: float) -> None:
    """Count a fetch, and log it where it belongs to a request: a command prints its own answer."""
    if isinstance(fetched, FetchError) and fetched.reason == BUSY:
        return  # nobody was asked
    facts: dict[str, object] = {"domain": domain.ascii, "outcome": FETCHED}
    if isinstance(fetched, MTASTSError):
        failure = failure_details(fetched)
        facts |= {"outcome": failure.result_type, "reason": failure.reason_code}
    metrics.fetched(str(facts["outcome"]), seconds)
    if requestid.current():
        log.info("policy fetch", extra={**facts, "seconds": round(seconds, 3)})


def default() -> World:
    """The world that the settings describe; made once for each set of them."""
    return _from_environment(settings.MTASTS)


def limited(slot: Slot) -> World:
    """The same, where connections to policy hosts want a place of `slot`."""
    return _from_environment(settings.MTASTS, slot)


@cache
def _from_environment(environment: Environment, slot: Slot = no_limit) -> World:
    return real(*clients(environment, slot))


def clients(environment: Environment, slot: Slot = no_limit) -> tuple[Resolver, PolicyFetcher]:
    """What speaks DNS and HTTPS as the settings say. Raises ValueError where no root is trusted."""
    resolver = Resolver(tuple(map(str, environment.nameservers)), timeout=environment.dns_timeout)
    fetcher = PolicyFetcher(
        resolver,
        port=environment.policy_port,
        timeout=environment.fetch_timeout,
        ca_file=str(environment.ca_file) if environment.ca_file else None,
        allow_private=environment.allow_private_addresses,
        proxy=environment.proxy,
        contact=environment.contact or None,
        slot=slot,
    )
    return resolver, fetcher
