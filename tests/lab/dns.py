"""The name server: a zone that may change at any time, served over UDP and TCP."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from tests.lab.answers import Absent, Answer, NXDomain, Question
from tests.lab.log import Log, Query
from tests.lab.loop import Listener, Workers, accept

ANY = "*"
ADDRESS = "127.0.0.1"
PLAIN_UDP_SIZE = 512
NEVER = threading.Event()

K = TypeVar("K")
Default = Callable[[str, str], Answer | None]


class Zone:
    """What is answered to which name and type.

    `zone["_mta-sts.example.test", "TXT"] = answer`; None takes it away, and the type "*" means
    every type that has no answer of its own. Names compare without case or last dot.

    `default`: asked about names that are not here, with name and type; its None is NXDOMAIN.
    """

    def __init__(self) -> None:
        self.default: Default | None = None
        self._answers: dict[tuple[str, str], Answer] = {}
        self._overrides: dict[str, Answer] = {}
        self._names: Counter[str] = Counter()

    def __getitem__(self, key: tuple[str, str]) -> Answer | None:
        return self._answers.get(_key(*key))

    def __setitem__(self, key: tuple[str, str], answer: Answer | None) -> None:
        key = _key(*key)
        was_there = key in self._answers
        _set(self._answers, key, answer)
        for name in _upwards(key[0]):
            self._names[name] += (answer is not None) - was_there

    def override(self, domain: str, answer: Answer | None) -> None:
        """Answers this for every name at and under `domain`, until told None."""
        _set(self._overrides, _name(domain), answer)

    def overridden(self, domain: str) -> Answer | None:
        """What `override` has set for exactly this domain."""
        return self._overrides.get(_name(domain))

    def find(self, name: str, type_: str) -> Answer:
        """The answer to this question."""
        name, type_ = _key(name, type_)
        if self._overrides:
            for domain in _upwards(name):
                if (override := self._overrides.get(domain)) is not None:
                    return override
        answer = self._answers.get((name, type_)) or self._answers.get((name, ANY))
        if answer is None and self.default is not None:
            answer = self.default(name, type_)
        if answer is not None:
            return answer
        return Absent() if self._names[name] > 0 else NXDomain()

    def clear(self) -> None:
        self.default = None
        self._answers.clear()
        self._overrides.clear()
        self._names.clear()


def _set(answers: dict[K, Answer], key: K, answer: Answer | None) -> None:
    """In one step, so that a query in between sees the old answer or the new one."""
    if answer is None:
        answers.pop(key, None)
    else:
        answers[key] = answer


def _name(name: str) -> str:
    return name.lower().removesuffix(".")


def _key(name: str, type_: str) -> tuple[str, str]:
    return _name(name), type_.upper()


def _upwards(name: str) -> list[str]:
    """The name, its parent and so on; a top-level domain comes last."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


class DNSServer:
    """Serves a zone at 127.0.0.1, UDP and TCP on the same port, which the system chooses."""

    def __init__(self, zone: Zone, log: Log[Query], listener: Listener, workers: Workers) -> None:
        self._zone = zone
        self._log = log
        self._workers = workers
        self._udp, self._tcp = _bound_pair()
        self.port: int = self._udp.getsockname()[1]
        listener.add(self._udp, self._on_datagram)
        listener.add(self._tcp, self._on_connection)

    def _on_datagram(self) -> None:
        wire, client = self._udp.recvfrom(65535)
        ask = self._ask(wire, tcp=False)
        if ask is None:
            return

        def send(cancelled: threading.Event) -> None:
            reply = ask(cancelled)
            if reply is not None:
                self._udp.sendto(reply, client)

        if ask.answer.waits:
            self._workers.run(send)
        else:
            send(NEVER)

    def _on_connection(self) -> None:
        connection = accept(self._tcp)
        if connection is None:
            return
        self._workers.run(lambda cancelled: self._serve(connection, cancelled), connection)

    def _serve(self, connection: socket.socket, cancelled: threading.Event) -> None:
        with connection, contextlib.suppress(ConnectionError), connection.makefile("rb") as stream:
            while len(prefix := stream.read(2)) == 2:
                ask = self._ask(stream.read(int.from_bytes(prefix)), tcp=True)
                reply = ask(cancelled) if ask else None
                if reply is not None:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def _ask(self, wire: bytes, *, tcp: bool) -> Ask | None:
        """What is to be answered to this query; None where it is none, which gets no answer."""
        try:
            message = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if message.flags & dns.flags.QR or not message.question:
            return None
        name = _name(message.question[0].name.to_text())
        type_ = dns.rdatatype.to_text(message.question[0].rdtype)
        self._log.append(Query(name, type_, "tcp" if tcp else "udp", edns=message.edns >= 0))
        return Ask(message, name, type_, tcp, self._zone.find(name, type_), self._zone)


@dataclass(frozen=True, slots=True)
class Ask:
    """A query and how it is to be answered. Calling it gives the bytes to send, or None."""

    message: dns.message.Message
    name: str
    type: str
    tcp: bool
    answer: Answer
    zone: Zone

    def __call__(self, cancelled: threading.Event) -> bytes | None:
        question = Question(self.message, self.name, self.type, self.tcp, self.zone.find, cancelled)
        reply = self.answer.to(question)
        if not isinstance(reply, dns.message.Message):
            return reply
        limit = 65535 if self.tcp else max(self.message.payload, PLAIN_UDP_SIZE)
        return reply.to_wire(max_size=limit, prefer_truncation=True)


def _bound_pair() -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket on one port of 127.0.0.1."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((ADDRESS, 0))
        try:
            tcp = socket.create_server(udp.getsockname(), backlog=1024)
        except OSError:  # somebody has the port for TCP: try another one
            udp.close()
        else:
            return udp, tcp
