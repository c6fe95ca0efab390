"""What the name server can say: one class for each way to answer, or not to answer.

host.txt = answers.Records("v=STSv1; id=2;", ttl=60)
host.mx = answers.Records("10 mx.example.test.", authenticated=True)
host.dns = answers.Slow(5, answers.ServFail())    # every name of the domain
lab.zone["_mta-sts.b.test", "*"] = answers.CNAME("_mta-sts.a.test", ttl=60)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rrset

from tests.lab.gate import Gate
from tests.lab.turns import Turns

NEGATIVE_TTL = 60
LONGEST_CHAIN = 20


@dataclass(frozen=True, slots=True)
class Question:
    """A query on its way to an answer.

    `find` is the zone's answer to another name and type, for those who follow a CNAME.
    `cancelled` is set when the laboratory wants its threads back. `hops` counts CNAMEs followed.
    """

    message: dns.message.Message
    name: str
    type: str
    tcp: bool
    find: Callable[[str, str], Answer]
    cancelled: threading.Event
    hops: int = 0

    def reply(self, rcode: str = "NOERROR", *, authenticated: bool = False) -> dns.message.Message:
        """An empty reply. AD is set only where the query asks for it (RFC 6840 section 5.7)."""
        reply = dns.message.make_response(self.message, recursion_available=True, our_payload=1232)
        reply.set_rcode(dns.rcode.from_text(rcode))
        asked = self.message.flags & dns.flags.AD or self.message.ednsflags & dns.flags.DO
        if authenticated and asked:
            reply.flags |= dns.flags.AD
        return reply


class Answer:
    """A way to answer."""

    __slots__ = ()

    waits: ClassVar[bool] = True
    """Whether it may take its time, and so needs a thread of its own."""

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        """The reply; bytes are sent as they are, None is silence."""
        raise NotImplementedError


@dataclass(frozen=True)
class Records(Answer):
    """These records, in the text form of a zone file, whatever type is asked for.

    For TXT each is one string as it is, or a tuple of the strings of one record; characters
    stand for the bytes of the same number, so any byte can be published.
    """

    values: tuple[str | tuple[str, ...], ...]
    ttl: int
    authenticated: bool
    waits: ClassVar[bool] = False

    def __init__(
        self, *values: str | tuple[str, ...], ttl: int = 300, authenticated: bool = False
    ) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "ttl", ttl)
        object.__setattr__(self, "authenticated", authenticated)

    def to(self, question: Question) -> dns.message.Message:
        reply = question.reply(authenticated=self.authenticated)
        owner = dns.name.from_text(question.name)
        rdatas = _rdatas(question.type, self.values)
        reply.answer.append(dns.rrset.from_rdata_list(owner, self.ttl, rdatas))
        return reply


@lru_cache
def _rdatas(type_: str, values: tuple[str | tuple[str, ...], ...]) -> list[dns.rdata.Rdata]:
    return [dns.rdata.from_text("IN", type_, _text(type_, value)) for value in values]


def _text(type_: str, value: str | tuple[str, ...]) -> str:
    if type_ != "TXT":
        return value if isinstance(value, str) else " ".join(value)
    strings = (value,) if isinstance(value, str) else value
    return " ".join(f'"{_escaped(string)}"' for string in strings)


def _escaped(string: str) -> str:
    plain = {byte: chr(byte) for byte in range(0x20, 0x7F) if chr(byte) not in '"\\'}
    return "".join(plain.get(byte, f"\\{byte:03d}") for byte in string.encode("latin-1"))


@dataclass(frozen=True, slots=True)
class Absent(Answer):
    """No such record: the name exists (NODATA). `ttl` is the minimum of the SOA beside it."""

    ttl: int = NEGATIVE_TTL
    authenticated: bool = False
    rcode: ClassVar[str] = "NOERROR"
    waits: ClassVar[bool] = False

    def to(self, question: Question) -> dns.message.Message:
        reply = question.reply(self.rcode, authenticated=self.authenticated)
        top = dns.name.from_text(question.name.rpartition(".")[2])
        soa = f"ns.lab.test. hostmaster.lab.test. 1 3600 600 86400 {self.ttl}"
        reply.authority.append(dns.rrset.from_text(top, self.ttl, "IN", "SOA", soa))
        return reply


@dataclass(frozen=True, slots=True)
class NXDomain(Absent):
    """No such name."""

    rcode: ClassVar[str] = "NXDOMAIN"


@dataclass(frozen=True, slots=True)
class Fails(Answer):
    """An error: SERVFAIL, REFUSED, NOTIMP, FORMERR …

    `ede`: an extended error (RFC 8914), sent where the query has EDNS.
    """

    rcode: str
    ede: int | None = None
    text: str | None = None
    waits: ClassVar[bool] = False

    def to(self, question: Question) -> dns.message.Message:
        reply = question.reply(self.rcode)
        if self.ede is not None and question.message.edns >= 0:
            option = dns.edns.EDEOption(dns.edns.EDECode.make(self.ede), self.text)
            reply.use_edns(0, 0, 1232, options=[option])
        return reply


def ServFail(ede: int | None = None, text: str | None = None) -> Fails:  # noqa: N802 - reads as its siblings
    """The resolver failed; `ede` 6 says that DNSSEC validation did."""
    return Fails("SERVFAIL", ede, text)


@dataclass(frozen=True, slots=True)
class CNAME(Answer):
    """Another name, followed as a resolver does. One that leads back to itself ends the chain.

    The rcode and the proof are those of the target, so a dangling one gives NXDOMAIN.
    """

    target: str
    ttl: int = 300
    authenticated: bool = False

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        owner, target = dns.name.from_text(question.name), dns.name.from_text(self.target)
        link = dns.rrset.from_text(owner, self.ttl, "IN", "CNAME", target.to_text())
        reply = self._follow(question)
        if isinstance(reply, dns.message.Message):
            reply.answer.insert(0, link)
            if not self.authenticated:
                reply.flags &= ~dns.flags.AD
        return reply

    def _follow(self, question: Question) -> dns.message.Message | bytes | None:
        if question.hops == LONGEST_CHAIN:
            return question.reply()
        answer = question.find(self.target, question.type)
        return answer.to(replace(question, name=self.target, hops=question.hops + 1))


@dataclass(frozen=True, slots=True)
class Silence(Answer):
    """Never answers."""

    waits: ClassVar[bool] = False

    def to(self, question: Question) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Garbage(Answer):
    """Bytes that are no DNS message."""

    waits: ClassVar[bool] = False

    def to(self, question: Question) -> bytes:
        return b"\xff" * 40


@dataclass(frozen=True, slots=True)
class WrongId(Answer):
    """The right answer to another query, as one who guesses would send it."""

    then: Answer

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        reply = self.then.to(question)
        if isinstance(reply, dns.message.Message):
            reply.id ^= 1
        return reply


@dataclass(frozen=True, slots=True)
class Truncated(Answer):
    """Nothing but the TC bit over UDP, all of it over TCP."""

    then: Answer

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        if question.tcp:
            return self.then.to(question)
        reply = question.reply()
        reply.flags |= dns.flags.TC
        return reply


@dataclass(frozen=True, slots=True)
class Slow(Answer):
    """Answers after so many seconds."""

    seconds: float
    then: Answer

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        if question.cancelled.wait(self.seconds):
            return None
        return self.then.to(question)


@dataclass(frozen=True, slots=True)
class Held(Answer):
    """Answers once the gate is open."""

    gate: Gate
    then: Answer

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        self.gate.pass_through()
        return self.then.to(question)


class InTurn(Answer):
    """Each query gets the next answer; the last one stays."""

    def __init__(self, *answers: Answer) -> None:
        self._turns = Turns(*answers)

    def to(self, question: Question) -> dns.message.Message | bytes | None:
        return self._turns.next().to(question)
