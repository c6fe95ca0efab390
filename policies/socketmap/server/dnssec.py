"""What the settings say of DANE, and whether the resolver is up to it."""

from __future__ import annotations

import logging
import threading

from mtastsweb.environment import Environment, OnDANE
from policies.mtasts.dns import Resolver
from policies.mtasts.validation import Validation, probe
from policies.socketmap.dane import DaneCheck
from policies.socketmap.domainfile import DomainFile
from policies.socketmap.server.lookups import DANE
from policies.socketmap.server.status import Status

log = logging.getLogger(__name__)


def make_dane(environment: Environment) -> DANE | None:
    """The check before an enforce policy is answered; None where the settings want none."""
    path = environment.dane_domains_file
    if environment.socketmap_dane is OnDANE.OFF and path is None:
        return None
    listed = DomainFile(path) if path else None
    return DaneCheck(_resolver(environment), environment.socketmap_dane, listed)


def tell_of_validation(environment: Environment, status: Status) -> None:
    """Find out in a thread, and tell the log and the status."""
    if environment.socketmap_dane is not OnDANE.OFF:
        threading.Thread(
            target=_tell, args=(_resolver(environment), status), name="validation", daemon=True
        ).start()


def _tell(resolver: Resolver, status: Status) -> None:
    validation = probe(resolver)
    status.validation = str(validation)
    if validation is not Validation.WORKS:
        log.warning(
            "DANE cannot be seen, so MTA-STS policies override it",
            extra={"reason": str(validation)},
        )


def _resolver(environment: Environment) -> Resolver:
    return Resolver(tuple(map(str, environment.nameservers)), timeout=environment.dns_timeout)
