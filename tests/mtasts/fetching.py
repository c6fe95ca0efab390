"""What the tests of DNS and HTTPS share: a client of the laboratory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from policies.mtasts.dns import Resolver
from policies.mtasts.domain import Domain
from policies.mtasts.errors import MTASTSError
from policies.mtasts.https import FetchedPolicy, PolicyFetcher
from policies.tlsrpt.failures import failure_details
from tests.lab.replies import Behaviour, Site

if TYPE_CHECKING:
    from tests.lab.connection import Connection
    from tests.lab.lab import Lab
    from tests.lab.log import Request

NAME = "example.test"
DOMAIN = Domain(NAME, NAME)
POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 86400\n"

ENOUGH = 10.0
"""Seconds that nothing in these tests takes."""

BRIEF = 0.3
"""Seconds after which a test wants to see a deadline pass."""


@dataclass(frozen=True, slots=True)
class Raw(Behaviour):
    """Answers the request with these very bytes."""

    data: bytes
    close_notify: bool = True

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        connection.send(self.data)
        connection.finish(close_notify=self.close_notify)


def resolver_of(lab: Lab, timeout: float = ENOUGH) -> Resolver:
    return Resolver((lab.nameserver,), timeout)


def fetcher_of(lab: Lab, **changes: object) -> PolicyFetcher:
    fetcher = PolicyFetcher(
        resolver_of(lab),
        port=lab.policy_port,
        timeout=ENOUGH,
        ca_file=lab.ca_file,
        allow_private=True,
    )
    return replace(fetcher, **changes) if changes else fetcher


def failure_of(fetcher: PolicyFetcher, domain: Domain = DOMAIN) -> str:
    """`result-type: reason-code` of the error that a fetch ends in."""
    try:
        fetched: FetchedPolicy = fetcher.fetch(domain)
    except MTASTSError as error:
        return str(failure_details(error))
    raise AssertionError(f"the fetch worked: {fetched}")
