"""Nameservers: how settings write them, and how to ask one in time."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from typing import Any, ClassVar

import dns.exception
import dns.message
import dns.nameserver

from policies.mtasts.turns import waiting

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")


class Nameserver(dns.nameserver.Do53Nameserver):
    """A nameserver over UDP and TCP that takes no longer than a lookup has."""

    attempt: ClassVar[float] = 2.0
    """Seconds it has before the next one is asked, or the same again."""

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        *args: Any,
        **kwargs: Any,
    ) -> dns.message.Message:
        """As the original, but a timeout at the end of a lookup is final.

        After any other the resolver pauses before the next round, even where none can follow;
        an OSError makes it give up at once.
        """
        try:
            if not max_size:
                return self._over_udp(request, timeout)
            with waiting():
                return super().query(
                    request, timeout, source, source_port, max_size, *args, **kwargs
                )
        except dns.exception.Timeout as error:
            if timeout < self.attempt:
                raise TimeoutError(str(error)) from error
            raise

    def _over_udp(self, request: dns.message.QueryMessage, timeout: float) -> dns.message.Message:
        """The reply to `request`; what else arrives is not heard, be it malformed or forged.

        dnspython's own does the same and makes a selector for each wait, which costs as much
        as all the rest of a question. Raises Timeout, Truncated and OSError.
        """
        wire = request.to_wire()
        end = time.monotonic() + timeout
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        # A socket for each question: its port is a secret between it and the nameserver.
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            left = timeout
            sock.settimeout(left)
            sock.sendto(wire, (self.address, self.port))
            while left > 0:
                sock.settimeout(left)
                try:
                    with waiting():
                        received, sender = sock.recvfrom(65535)
                except TimeoutError:
                    break
                if self._is_sender(sender) and (reply := _reply(request, received)):
                    return reply
                left = end - time.monotonic()
        raise dns.exception.Timeout(timeout=timeout)  # type: ignore[no-untyped-call]  # has no types

    def _is_sender(self, sender: tuple[Any, ...]) -> bool:
        """Whether the datagram comes from where the question went."""
        return sender[1] == self.port and _is_same_address(sender[0], self.address)


def _is_same_address(one: str, other: str) -> bool:
    # As text they may differ: "::1" is "0:0:0:0:0:0:0:1", and has a zone at times.
    return one == other or ipaddress.ip_address(one) == ipaddress.ip_address(other)


def _reply(request: dns.message.QueryMessage, received: bytes) -> dns.message.Message | None:
    """What a datagram says, if it is an answer to `request`. Raises Truncated where it is cut."""
    try:
        reply = dns.message.from_wire(received, raise_on_truncation=True)
    except dns.message.Truncated as error:
        if request.is_response(error.message()):  # type: ignore[no-untyped-call]  # has no types
            raise
        return None
    except dns.exception.DNSException:
        return None
    return reply if request.is_response(reply) else None


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
