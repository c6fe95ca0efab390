"""Nameservers: how settings write them, and how they are asked in time.

dnspython reads what they say. Its own way of asking makes a message, a state and a selector for
each question, which together cost more than to read the answer.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import dns.exception
import dns.message
import dns.query
import dns.rcode

from policies.mtasts.dnsfailures import Attempt, Unanswered
from policies.mtasts.question import Question
from policies.mtasts.turns import waiting

ATTEMPT = 2.0
"""Seconds that a nameserver has before the next one is asked, or the same again."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds after a round in which none answered; twice as long each time."""

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")

_READABLE = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A nameserver over UDP and, where an answer does not fit, TCP."""

    address: str
    port: int = 53

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"

    def over_udp(self, question: Question, timeout: float) -> dns.message.Message:
        """The reply; what else arrives is not heard, be it malformed or forged.

        Raises Timeout, Truncated and OSError.
        """
        end = time.monotonic() + timeout
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        # A socket for each question: its port is a secret between it and the nameserver.
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            left = timeout
            sock.settimeout(left)
            sock.sendto(question.wire, (self.address, self.port))
            while left > 0:
                sock.settimeout(left)
                try:
                    with waiting():
                        received, sender = sock.recvfrom(65535)
                except TimeoutError:
                    break
                if self._is_sender(sender) and question.is_answered_by(received):
                    reply = _read(received)
                    if reply is not None:
                        return reply
                left = end - time.monotonic()
        raise dns.exception.Timeout(timeout=timeout)  # type: ignore[no-untyped-call]  # has no types

    def over_tcp(self, question: Question, timeout: float) -> dns.message.Message:
        """The reply. Raises DNSException, EOFError and OSError."""
        message = dns.message.from_wire(question.wire)
        with waiting():
            return dns.query.tcp(message, self.address, timeout, self.port)

    def _is_sender(self, sender: tuple[Any, ...]) -> bool:
        """Whether the datagram comes from where the question went."""
        return sender[1] == self.port and _is_same_address(sender[0], self.address)


class Reply(NamedTuple):
    """What a nameserver said, and what is at the end of its CNAMEs."""

    message: dns.message.QueryMessage
    followed: dns.message.ChainingResult


def ask(nameservers: Sequence[Nameserver], question: Question, timeout: float) -> Reply:
    """The first reply that says what there is, or that there is nothing, within `timeout` seconds.

    All are asked in turn, and again those that only were silent. Raises Unanswered.
    """
    end = time.monotonic() + timeout
    attempts: list[Attempt] = []
    left_over, pause = list(nameservers), FIRST_PAUSE
    while left_over:
        for nameserver in list(left_over):
            left = end - time.monotonic()
            if left <= 0:
                raise Unanswered("the time is up", attempts)
            reply = _attempt(nameserver, question, left, attempts)
            if reply is not None:
                return reply
            if not _may_answer_yet(attempts[-1], left):
                left_over.remove(nameserver)
        if left_over:
            with waiting():
                time.sleep(min(pause, max(0.0, end - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)
    raise Unanswered("no nameserver is left to be asked", attempts)


def _may_answer_yet(attempt: Attempt, left: float) -> bool:
    """Whether to ask again who was silent: not where there was no time for more."""
    return isinstance(attempt[3], dns.exception.Timeout) and left >= ATTEMPT


def _attempt(
    nameserver: Nameserver, question: Question, left: float, attempts: list[Attempt]
) -> Reply | None:
    """A reply that can be used; else None, and why not is the last of `attempts`."""
    end = time.monotonic() + left
    by_tcp = False
    while True:
        failure: Exception | str
        reply = None
        try:
            exchange = nameserver.over_tcp if by_tcp else nameserver.over_udp
            reply = exchange(question, max(0.0, min(end - time.monotonic(), ATTEMPT)))
            rcode = reply.rcode()
            if rcode in _READABLE:
                message = cast(dns.message.QueryMessage, reply)  # it answers a query
                return Reply(message, message.resolve_chaining())
            failure = dns.rcode.to_text(rcode)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            failure = error
        told = (str(nameserver), by_tcp, nameserver.port, failure, reply)
        attempts.append(told)
        if isinstance(failure, dns.message.Truncated) and not by_tcp:
            by_tcp = True
            continue
        if reply is not None and rcode == dns.rcode.YXDOMAIN:
            raise Unanswered("the name is too long after a DNAME", attempts)
        return None


def _read(received: bytes) -> dns.message.Message | None:
    """What a datagram says. Raises Truncated where it is cut short."""
    try:
        return dns.message.from_wire(received, raise_on_truncation=True)
    except dns.message.Truncated:
        raise
    except dns.exception.DNSException:
        return None


def _is_same_address(one: str, other: str) -> bool:
    # As text they may differ: "::1" is "0:0:0:0:0:0:0:1", and has a zone at times.
    return one == other or ipaddress.ip_address(one) == ipaddress.ip_address(other)


def parse_nameserver(text: str) -> Nameserver:
    """The nameserver at "address", "address:port" or "[v6]:port". Raises ValueError."""
    written = _WITH_PORT.fullmatch(text)
    host, port = (written[1] or written[2], int(written[3])) if written else (text, 53)
    try:
        address = ipaddress.ip_address(host)
        if not 0 < port < 65536:
            raise ValueError(f"there is no port {port}")
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no nameserver; expected an IP address,"
            " 'address:port' or '[IPv6 address]:port'"
        ) from error
    return Nameserver(str(address), port)
