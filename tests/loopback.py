"""Keeps a test run on this machine: whatever would leave it is an error."""

from __future__ import annotations

import ipaddress
import sys

_WITH_ADDRESS = frozenset({"socket.connect", "socket.sendto"})
_LOCAL_NAMES = frozenset({"localhost", "", None})


class TrafficRefused(BaseException):
    """Not an Exception, so that no handler of the product takes it for a host's failure."""


def stay() -> None:
    """For the rest of this process; audit hooks cannot be taken back."""
    sys.addaudithook(_refuse_elsewhere)


def _refuse_elsewhere(event: str, arguments: tuple[object, ...]) -> None:
    if event in _WITH_ADDRESS:
        address = arguments[1]
        # A str or bytes is the path of a unix socket.
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise TrafficRefused(f"{event} to {address}")
    elif event == "socket.getaddrinfo" and not _is_local(arguments[0]):
        raise TrafficRefused(f"a system look-up of {arguments[0]!r}")


def _is_local(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(name))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
