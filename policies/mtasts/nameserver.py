"""Nameservers: how settings write them, and how to ask one in time."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar

import dns.exception
import dns.message
import dns.nameserver

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")


class Nameserver(dns.nameserver.Do53Nameserver):
    """A nameserver over UDP and TCP that takes no longer than a lookup has."""

    attempt: ClassVar[float] = 2.0
    """Seconds it has before the next one is asked, or the same again."""

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"

    def query(
        self, request: dns.message.QueryMessage, timeout: float, *args: Any, **kwargs: Any
    ) -> dns.message.Message:
        """As the original, but a timeout at the end of a lookup is final.

        After any other the resolver pauses before the next round, even where none can follow;
        an OSError makes it give up at once.
        """
        try:
            return super().query(request, timeout, *args, **kwargs)
        except dns.exception.Timeout as error:
            if timeout < self.attempt:
                raise TimeoutError(str(error)) from error
            raise


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
