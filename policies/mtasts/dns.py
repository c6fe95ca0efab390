"""The TXT record and the addresses of a policy host, from DNS (RFC 8461 section 3.1).

What depends on dnspython stands here, in `nameserver`, `question` and `dnsfailures`.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from policies.mtasts.dnsfailures import Unanswered, dns_error
from policies.mtasts.domain import Domain
from policies.mtasts.errors import DNSError, DomainNameError, NoRecordError, RecordError
from policies.mtasts.nameserver import Nameserver, Reply, ask, parse_nameserver
from policies.mtasts.question import Question
from policies.mtasts.record import Record, select_record

LONGEST_NEGATIVE_TTL = 3 * 60 * 60
"""Seconds for which an absence is believed, whatever its SOA says (RFC 2308 section 5)."""

SYSTEM_KEPT = 60.0
"""Seconds after which it is read anew whom the system asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS says about one name and type; `records` is empty where there are none.

    `ttl`: seconds; of the shortest-lived record, CNAMEs included, or of the absence.
    `authentic`: the resolver says that DNSSEC proves it (AD); as good as the way to it.
    `exists`: False where there is no such name, of any type.
    `canonical`: the name at the end of the CNAMEs, or the one asked for where there are none;
    lower case, no trailing dot.
    """

    records: tuple[dns.rdata.Rdata, ...]
    ttl: int
    authentic: bool
    exists: bool = True
    canonical: str = ""


@dataclass(frozen=True, slots=True)
class TXTAnswer:
    """A domain's MTA-STS record, and for how many seconds it holds."""

    record: Record
    ttl: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """A host's addresses, IPv6 and IPv4 in turn; none where the host does not exist."""

    found: tuple[str, ...]
    ttl: int


@dataclass(frozen=True, slots=True)
class Resolver:
    """Asks recursive nameservers; one serves all threads.

    `nameservers`: "address", "address:port" or "[v6]:port"; none means the system's. They are
    asked in turn until one answers. `timeout`: seconds for one question, retries included.
    Raises ValueError for a nameserver that is none of these.
    """

    nameservers: tuple[str, ...] = ()
    timeout: float = 10.0
    _parsed: list[Nameserver] = field(init=False, repr=False, compare=False)
    _system: SystemNameservers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nameservers", tuple(self.nameservers))
        object.__setattr__(self, "_parsed", [parse_nameserver(text) for text in self.nameservers])
        object.__setattr__(self, "_system", SystemNameservers())

    def lookup_record(self, domain: Domain) -> TXTAnswer:
        """The MTA-STS record of `domain`.

        Raises NoRecordError, MultipleRecordsError, RecordSyntaxError, each with the `ttl` of the
        answer and what was `seen` in it, and DNSError.
        """
        try:
            name = domain.record_name
        except DomainNameError as error:
            raise NoRecordError(str(error), ttl=LONGEST_NEGATIVE_TTL) from error
        answer = self.query(name, "TXT")
        txts = [_joined(rdata) for rdata in answer.records]
        try:
            record = select_record(txts)
        except RecordError as error:
            error.ttl = answer.ttl
            error.seen = tuple(txt.decode(errors="replace") for txt in txts)
            raise
        return TXTAnswer(record, answer.ttl)

    def addresses(self, host: str, timeout: float | None = None) -> Addresses:
        """The addresses of `host`, both families, within `timeout` seconds if that is less.

        One family failing is no matter where the other answers. Raises DNSError.
        """
        limit = self.timeout if timeout is None else min(timeout, self.timeout)
        start = time.monotonic()
        # Some nameservers drop one type, so the first question must not use up all the time.
        first = self._try(host, "A", limit / 2)
        if isinstance(first, Answer) and not first.exists:
            return Addresses((), first.ttl)
        second = self._try(host, "AAAA", limit - (time.monotonic() - start))
        return _merged(second, first)

    def query(self, name: str, rdtype: str, timeout: float | None = None) -> Answer:
        """The records of `name`, taken as absolute, within `timeout` seconds.

        Raises DNSError, never for an absence.
        """
        try:
            question = Question(name.removesuffix("."), rdtype)
            limit = self.timeout if timeout is None else timeout
            reply = ask(self._asked(), question, limit)
        except Unanswered as error:
            raise dns_error(name, rdtype, error) from error
        except dns.resolver.NoResolverConfiguration as error:
            raise DNSError(
                f"no answer to {name} {rdtype}: {error}", reason="no-nameserver"
            ) from error
        except ValueError as error:
            raise DNSError(f"no answer to {name} {rdtype}: {error}", reason="bad-name") from error
        return _answer(reply)

    @property
    def is_trusted(self) -> bool:
        """Whether `Answer.authentic` is worth anything: nobody sits between us and who says it.

        True for nameservers that the operator has named, and for the system's where all of them
        are on this machine.
        """
        try:
            asked = self._asked()
        except dns.resolver.NoResolverConfiguration:
            return False
        return bool(self._parsed) or all(
            ipaddress.ip_address(each.address).is_loopback for each in asked
        )

    def _try(self, host: str, rdtype: str, timeout: float) -> Answer | DNSError:
        try:
            return self.query(host, rdtype, timeout)
        except DNSError as error:
            return error

    def _asked(self) -> list[Nameserver]:
        """Raises NoResolverConfiguration."""
        return self._parsed or self._system.read()


class SystemNameservers:
    """Whom the system asks, as resolv.conf says."""

    def __init__(self) -> None:
        self._found: list[Nameserver] = []
        self._read_at = -SYSTEM_KEPT

    def read(self) -> list[Nameserver]:
        """At least one. Raises NoResolverConfiguration."""
        now = time.monotonic()
        if now - self._read_at >= SYSTEM_KEPT or not self._found:
            resolver = dns.resolver.Resolver()
            found = [Nameserver(str(each), resolver.port) for each in resolver.nameservers]
            self._found, self._read_at = found, now
        return self._found


def _joined(rdata: dns.rdata.Rdata) -> bytes:
    """The strings of one TXT record, joined as they are (RFC 8461 section 3.1)."""
    return b"".join(cast(TXT, rdata).strings)


def _answer(reply: Reply) -> Answer:
    message, followed = reply
    records = tuple(followed.answer or ())
    return Answer(
        records=records,
        ttl=followed.minimum_ttl if records else min(followed.minimum_ttl, LONGEST_NEGATIVE_TTL),
        authentic=bool(message.flags & dns.flags.AD),
        exists=message.rcode() != dns.rcode.NXDOMAIN,
        canonical=_canonical(followed),
    )


def _canonical(followed: dns.message.ChainingResult) -> str:
    return followed.canonical_name.to_text(omit_final_dot=True).lower()


def _merged(v6: Answer | DNSError, v4: Answer | DNSError) -> Addresses:
    """What both questions gave. Raises DNSError where one failed and the other found nothing."""
    answers = [answer for answer in (v6, v4) if isinstance(answer, Answer)]
    families = [[cast(A | AAAA, rdata).address for rdata in answer.records] for answer in answers]
    found = tuple(filter(None, chain.from_iterable(zip_longest(*families))))
    if not found:
        for failure in (v4, v6):
            if isinstance(failure, DNSError):
                raise failure
    return Addresses(found, min(answer.ttl for answer in answers))
