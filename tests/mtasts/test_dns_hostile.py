"""Nameservers that mean harm: whatever they send, a lookup ends in time, in an answer or a named
error."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.mtasts.dns import Resolver
from policies.mtasts.errors import DNSError, MultipleRecordsError, RecordError
from tests.lab import answers
from tests.mtasts.fetching import DOMAIN, NAME, resolver_of

if TYPE_CHECKING:
    from tests.lab.lab import Lab

BRIEF = 0.4
"""Seconds that a lookup has here."""

LATE = 5.0
"""Seconds after which a lookup of `BRIEF` has outlived its deadline, on a machine however busy."""

HEADER = 12
"""Octets of a message's header."""

GOOD = answers.Records("v=STSv1; id=1;")

Bend = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Wire(answers.Answer):
    """A good answer, bent before it is sent."""

    bend: Bend
    good: answers.Answer = GOOD

    def to(self, question: answers.Question) -> bytes:
        reply = self.good.to(question)
        assert isinstance(reply, dns.message.Message)
        return self.bend(reply.to_wire(max_size=65535))


def _put(wire: bytes, at: int, octets: bytes) -> bytes:
    return wire[:at] + octets + wire[at + len(octets) :]


def _answer(wire: bytes) -> int:
    """Where the answer begins: behind the question, whose name stands there in full."""
    at = HEADER
    while wire[at]:
        at += wire[at] + 1
    return at + 5


def _loop(wire: bytes) -> bytes:
    """The owner's name points at itself."""
    at = _answer(wire)
    return _put(wire, at, (0xC000 | at).to_bytes(2))


def _pointers_in_a_ring(wire: bytes) -> bytes:
    """The question's name leads to the answer's, which leads back."""
    at = _answer(wire)
    return _put(_put(wire, at, (0xC000 | HEADER).to_bytes(2)), HEADER, (0xC000 | at).to_bytes(2))


BENT = {
    "a name that points at itself": _loop,
    "two names that point at each other": _pointers_in_a_ring,
    "a pointer past the end": lambda wire: _put(wire, _answer(wire), b"\xff\xff"),
    "a label without its text": lambda wire: _put(wire, _answer(wire), b"\x3f"),
    "more answers than there are": lambda wire: _put(wire, 6, b"\xff\xff"),
    "no question": lambda wire: _put(wire, 4, b"\0\0"),
    "cut in the header": lambda wire: wire[:7],
    "cut in the answer": lambda wire: wire[: _answer(wire) + 12],
    "data longer than the message": lambda wire: _put(wire, _answer(wire) + 10, b"\xff\xff"),
    "a string longer than its data": lambda wire: _put(wire, _answer(wire) + 12, b"\xff"),
    "another question's answer": lambda wire: _put(wire, HEADER + 1, b"_evil-s"),
    "a question again": lambda wire: _put(wire, 2, bytes([wire[2] & 0x7F])),
    "junk behind it": lambda wire: wire + b"\0" * 300,
    "nothing": lambda wire: b"",
}


def ended(resolver: Resolver) -> str:
    """How the lookup ended; fails where it took too long or something else came of it."""
    began = time.monotonic()
    try:
        found = str(resolver.lookup_record(DOMAIN).record.id)
    except (DNSError, RecordError) as error:
        found = type(error).__name__
    assert time.monotonic() - began < LATE
    return found


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_bent_answer_is_no_answer(lab: Lab, bend: Bend, transport: str) -> None:
    host = lab.domain(NAME)
    host.txt = Wire(bend) if transport == "udp" else answers.Truncated(Wire(bend))
    assert ended(resolver_of(lab, BRIEF)) in ("DNSError", "NoRecordError")


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=2)), min_size=1, max_size=4
    )
)
def test_an_answer_with_any_octets_changed_ends_by_name(
    lab: Lab, changes: list[tuple[int, bytes]]
) -> None:
    def bend(wire: bytes) -> bytes:
        for at, octets in changes:
            wire = _put(wire, 2 + at % (len(wire) - 2), octets)  # the id stays: it is for us
        return wire

    lab.domain(NAME).txt = answers.Truncated(Wire(bend))
    ended(resolver_of(lab, BRIEF))


class TestSize:
    def test_a_record_of_sixty_kilobytes_is_read_or_refused(self, lab: Lab) -> None:
        strings = ("v=STSv1; id=1;", *["a" * 255] * 230)
        lab.domain(NAME).txt = answers.Truncated(answers.Records(strings))
        assert ended(resolver_of(lab)) in ("1", "RecordSyntaxError")

    def test_one_record_among_thousands_of_others_is_found(self, lab: Lab) -> None:
        others = [f"other {number}" for number in range(2000)]
        lab.domain(NAME).txt = answers.Truncated(answers.Records(*others, "v=STSv1; id=1;"))
        assert ended(resolver_of(lab)) == "1"

    def test_thousands_of_records_of_ours_are_several(self, lab: Lab) -> None:
        many = [f"v=STSv1; id={number};" for number in range(2000)]
        lab.domain(NAME).txt = answers.Truncated(answers.Records(*many))
        assert ended(resolver_of(lab)) == MultipleRecordsError.__name__


def _drip(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"\x01\x00")
    while not stop.wait(0.02):
        connection.sendall(b"\0")


def _flood(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        connection.sendall(b"\xff\xff" + b"\xff" * 65535)


def _short(connection: socket.socket, _stop: threading.Event) -> None:
    connection.sendall(b"\xff\xff" + b"\0" * 40)


def _empty(connection: socket.socket, _stop: threading.Event) -> None:
    connection.sendall(b"\0\0")


def _hang_up(_connection: socket.socket, _stop: threading.Event) -> None:
    """Says nothing."""


def _wait(_connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(LATE)


class Truncating:
    """Sends everybody to TCP, and there does as `behave` says."""

    def __init__(self, behave: Callable[[socket.socket, threading.Event], None]) -> None:
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._udp.getsockname()[1]}"
        self._tcp = socket.create_server(self._udp.getsockname())
        self._behave = behave
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=serve) for serve in (self._serve_udp, self._serve_tcp)
        ]
        for sock in (self._udp, self._tcp):
            sock.settimeout(0.1)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                wire, client = self._udp.recvfrom(4096)
                reply = dns.message.make_response(dns.message.from_wire(wire))
                reply.flags |= dns.flags.TC
                self._udp.sendto(reply.to_wire(), client)

    def _serve_tcp(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError):
                connection, _ = self._tcp.accept()
                with connection:
                    connection.settimeout(0.5)
                    self._behave(connection, self._stop)


@pytest.fixture(
    params=[_drip, _flood, _short, _empty, _hang_up, _wait], ids=lambda each: each.__name__
)
def truncating(request: pytest.FixtureRequest) -> Iterator[Truncating]:
    server = Truncating(request.param)
    yield server
    server.stop()


def test_what_comes_over_tcp_is_no_answer_either(truncating: Truncating) -> None:
    assert ended(Resolver((truncating.where,), BRIEF)) == "DNSError"
