"""The laboratory itself: domains, and the two servers that answer for them."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from tests.lab.answers import Answer, Records
from tests.lab.blackhole import Blackhole
from tests.lab.ca import Authority
from tests.lab.certificate import Certificate
from tests.lab.dns import Default, DNSServer, Zone
from tests.lab.gate import Gate
from tests.lab.https import HTTPSServer
from tests.lab.log import Log, Query, Request
from tests.lab.loop import Listener, Workers
from tests.lab.replies import GOOD, Behaviour, Site

CLOSED, BLACKHOLE = 254, 253


@dataclass(slots=True)
class Served:
    """What the policy host shows under one server name.

    `policy` None is a 404. `certificate` may be a context made by `Lab.shared_certificate`.
    """

    policy: str | bytes | None = None
    certificate: Certificate | ssl.SSLContext = Certificate.GOOD
    behaviour: Behaviour = GOOD


class ZoneEntry:
    """An attribute of a host that stands in the zone; None is no such record."""

    def __init__(self, prefix: str, type_: str) -> None:
        self._prefix = prefix
        self._type = type_

    def __get__(self, host: Host, owner: type[Host]) -> Answer | None:
        return host.zone[self._prefix + host.domain, self._type]

    def __set__(self, host: Host, answer: Answer | None) -> None:
        host.zone[self._prefix + host.domain, self._type] = answer


class Host(Served):
    """A domain of the laboratory. Whatever is set holds from the next query or connection on."""

    txt = ZoneEntry("_mta-sts.", "TXT")
    a = ZoneEntry("mta-sts.", "A")
    aaaa = ZoneEntry("mta-sts.", "AAAA")
    mx = ZoneEntry("", "MX")

    def __init__(self, domain: str, zone: Zone) -> None:
        super().__init__()
        self.domain = domain.lower()
        self.zone = zone

    @property
    def policy_host(self) -> str:
        """Where the policy is served (RFC 8461 section 3.3)."""
        return f"mta-sts.{self.domain}"

    def publish(self, policy: str | bytes | None = None, *, id: str, ttl: int = 300) -> None:  # noqa: A002 - the record's own word
        """Sets the policy if one is given, and then the record's id, as RFC 8461 has it."""
        if policy is not None:
            self.policy = policy
        self.txt = Records(f"v=STSv1; id={id};", ttl=ttl)

    def resolve_to(self, *addresses: str, ttl: int = 300) -> None:
        """Sets the policy host's IPv4 addresses; none at all takes the record away."""
        self.a = Records(*addresses, ttl=ttl) if addresses else None

    @property
    def dns(self) -> Answer | None:
        """The answer to every name at and under the domain, in place of all records."""
        return self.zone.overridden(self.domain)

    @dns.setter
    def dns(self, answer: Answer | None) -> None:
        self.zone.override(self.domain, answer)


class Lab:
    """A name server and a policy host on loopback. Starts as a context manager or with `start`.

    `addresses`: at how many addresses the policy host listens; domains are spread over them.
    `keep_logs` off keeps only how many queries and requests there were, for long benchmarks.
    `dns_default`: the answer to names that are not here, called with name and type.
    `https_default`: what is served under server names that are not here.
    """

    def __init__(self, *, addresses: int = 1, keep_logs: bool = True) -> None:
        self.queries: Log[Query] = Log(keep=keep_logs)
        self.requests: Log[Request] = Log(keep=keep_logs)
        self.zone = Zone()
        self.https_default: Callable[[str], Served | None] | None = None
        self._hosts: dict[str, Host] = {}
        self._gates: list[Gate] = []
        self._blackhole: Blackhole | None = None
        self._authority = Authority()
        self._listener = Listener()
        self._workers = Workers()
        self._dns = DNSServer(self.zone, self.queries, self._listener, self._workers)
        self._https = HTTPSServer(
            addresses, self._find, self.requests, self._listener, self._workers
        )
        self._next_address = itertools.cycle(self._https.addresses)
        self.nameserver = f"127.0.0.1:{self._dns.port}"
        self.policy_port = self._https.port
        self.addresses = self._https.addresses
        self.connections = self._https.connections
        self.ca_file = str(self._authority.ca_file)

    def domain(
        self,
        name: str,
        policy: str | bytes | None = None,
        *,
        id: str | None = "1",  # noqa: A002 - the record's own word
        ttl: int = 300,
        address: str | None = None,
        certificate: Certificate | ssl.SSLContext = Certificate.GOOD,
        behaviour: Behaviour = GOOD,
    ) -> Host:
        """Adds a domain (A-labels), or begins one anew. Without an id there is no TXT record."""
        host = Host(name, self.zone)
        host.txt = host.aaaa = host.mx = host.dns = None
        host.policy = policy
        host.certificate = certificate
        host.behaviour = behaviour
        self._hosts[host.domain] = host
        if id is not None:
            host.publish(id=id, ttl=ttl)
        host.resolve_to(address or next(self._next_address), ttl=ttl)
        return host

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name.lower()]

    @property
    def dns_default(self) -> Default | None:
        return self.zone.default

    @dns_default.setter
    def dns_default(self, default: Default | None) -> None:
        self.zone.default = default

    def gate(self) -> Gate:
        """A closed gate for `answers.Held` and `replies.Held`; it opens when the lab ends."""
        gate = Gate()
        self._gates.append(gate)
        return gate

    def shared_certificate(self, domains: Iterable[str]) -> ssl.SSLContext:
        """One good certificate for the policy hosts of all these domains."""
        names: Sequence[str] = [f"mta-sts.{domain}" for domain in domains]
        return self._authority.shared_context(names)

    def mail_certificate(self, certificate: Certificate, host: str) -> ssl.SSLContext:
        """The server side of TLS for a mail host, showing this kind of certificate."""
        return self._authority.context(certificate, host)

    @property
    def closed_address(self) -> str:
        """Where nobody listens: connections are refused."""
        return self._neighbour(CLOSED)

    def blackhole(self) -> str:
        """An address where connections are neither taken nor refused."""
        if self._blackhole is None:
            self._blackhole = Blackhole(self._neighbour(BLACKHOLE), self.policy_port)
        return self._blackhole.address

    def settings(self) -> dict[str, str]:
        """The environment in which the project uses this laboratory."""
        return {
            "MTASTS_NAMESERVERS": self.nameserver,
            "MTASTS_CA_FILE": self.ca_file,
            "MTASTS_POLICY_PORT": str(self.policy_port),
            "MTASTS_ALLOW_PRIVATE_ADDRESSES": "1",
            "MTASTS_MAX_PER_ADDRESS": "0",
        }

    def start(self) -> Lab:
        self._listener.start()
        return self

    def reset(self) -> None:
        """Forgets domains, logs and counts, and ends what is still being answered."""
        self._end_answers()
        self.zone.clear()
        self.https_default = None
        self._hosts.clear()
        self.queries.clear()
        self.requests.clear()
        self.connections.clear()

    def stop(self) -> None:
        """Returns once no thread, socket or file of the laboratory is left."""
        self._listener.stop()
        self._end_answers()
        self._listener.close()
        if self._blackhole is not None:
            self._blackhole.close()
        self._authority.close()

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _neighbour(self, last: int) -> str:
        """An address in the net of the policy host's own."""
        return f"{self.addresses[0].rpartition('.')[0]}.{last}"

    def _end_answers(self) -> None:
        for gate in self._gates:
            gate.open()
        self._gates.clear()
        self._workers.cancel()

    def _find(self, sni: str) -> tuple[Site, Behaviour]:
        served = self._served(sni)
        if served is None:
            served = Served(certificate=Certificate.WRONG_NAME)
        context = served.certificate
        if isinstance(context, Certificate):
            context = self._authority.context(context, sni)
        policy = served.policy.encode() if isinstance(served.policy, str) else served.policy
        return Site(context, policy), served.behaviour

    def _served(self, sni: str) -> Served | None:
        host = self._hosts.get(sni.removeprefix("mta-sts."))
        if host is not None or self.https_default is None:
            return host
        return self.https_default(sni)
