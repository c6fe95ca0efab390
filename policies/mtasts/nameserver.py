"""Nameservers: how settings write them, and how to ask one in time."""

from __future__ import annotations

import ipaddress
from typing import Any

import dns.exception
import dns.message
import dns.nameserver

ATTEMPT = 2.0
"""Seconds that one nameserver has before the next is asked, or the same one again."""


class Nameserver(dns.nameserver.Do53Nameserver):
    """A nameserver over UDP and TCP that takes no longer than a lookup has."""

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
            if timeout < ATTEMPT:
                raise TimeoutError(str(error)) from error
            raise


def parse_nameserver(text: str) -> Nameserver:
    """The nameserver at "address", "address:port" or "[v6]:port". Raises ValueError."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        address = ""
    if not address or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(
            f"{text!r} is no nameserver; expected an IP address,"
            " 'address:port' or '[IPv6 address]:port'"
        )
    return Nameserver(address, int(port))
