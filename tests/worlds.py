"""A world for the cache that tests write themselves: what DNS and policy hosts say, and the time.

For rules about rows and time; whether DNS and HTTPS do so is for the laboratory to show.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from policies.mtasts import Domain, NoRecordError, Policy, Record, parse_policy
from policies.mtasts.errors import DNSError, MTASTSError
from policies.mtasts.https import FetchedPolicy
from policies.mtasts.mailhosts import MailHosts
from policies.mtasts.tls import PeerCertificate
from policies.world import Looked, World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ENFORCE = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n"
TESTING = "version: STSv1\nmode: testing\nmx: *.example.org\nmax_age: 86400\n"
NONE = "version: STSv1\nmode: none\nmax_age: 86400\n"
AT_ONCE = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 0\n"


CERTIFICATE = PeerCertificate(
    issuer="A Test CA",
    names=("mta-sts.example.org",),
    not_before=NOON - timedelta(days=30),
    not_after=NOON + timedelta(days=60),
)


def record(record_id: str = "1") -> Record:
    return Record("STSv1", record_id, [])


def served(text: str = ENFORCE) -> FetchedPolicy:
    """What a policy host that serves this text comes to."""
    return FetchedPolicy(
        policy=parse_policy(text),
        text=text,
        certificate=CERTIFICATE,
        address="192.0.2.1",
    )


def mail(*hosts: str) -> MailHosts:
    """The answer to an MX query that names these, the first one preferred."""
    preferences = tuple(10 * place for place in range(1, len(hosts) + 1))
    return MailHosts(hosts, 300, False, preferences)


def policy(text: str = ENFORCE) -> Policy:
    return parse_policy(text)


class Script:
    """A world with one answer for all domains, and a clock that only `pass_` moves."""

    def __init__(self) -> None:
        self.time = NOON
        self.look: Record | MTASTSError = NoRecordError("no record")
        self.fetch: FetchedPolicy | MTASTSError | BaseException = served()
        self.mx: dict[str, MailHosts | DNSError] = {}
        self.mx_looks: list[str] = []
        self.ttl = 300
        self.looks: list[str] = []
        self.fetches: list[str] = []
        self.during_look: Callable[[], object] = lambda: None
        self.during_fetch: Callable[[], object] = lambda: None
        self.during_wait = lambda: None

    @property
    def world(self) -> World:
        return World(
            self._look, self._fetch, self.now, lambda _seconds: self.during_wait(), self._mail
        )

    def publish(self, text: str = ENFORCE, record_id: str = "1") -> None:
        self.look, self.fetch = record(record_id), served(text)

    def pass_(self, **time: float) -> None:
        self.time += timedelta(**time)

    def now(self) -> datetime:
        return self.time

    def _look(self, name: Domain) -> Looked:
        self.looks.append(name.ascii)
        self.during_look()
        return Looked(self.look, self.ttl)

    def _fetch(self, name: Domain) -> FetchedPolicy | MTASTSError:
        self.fetches.append(name.ascii)
        self.during_fetch()
        if isinstance(self.fetch, BaseException) and not isinstance(self.fetch, MTASTSError):
            raise self.fetch
        return self.fetch

    def _mail(self, name: Domain) -> MailHosts | DNSError:
        self.mx_looks.append(name.ascii)
        return self.mx.get(name.ascii, mail("mx.example.org"))
