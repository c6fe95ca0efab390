"""A TCP connection to the first address that takes one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from policies.mtasts.causes import CONNECT, fetch_error
from policies.mtasts.deadline import Deadline, LimitedSocket, Limits
from policies.mtasts.errors import FetchError
from policies.mtasts.turns import waiting

LONGEST_CONNECT = 10.0
"""Seconds for one address, so that a dead one leaves time for the next."""

Slot = Callable[[str, float], AbstractContextManager[object]]
"""A place at an address: called with it and the seconds to wait, entered before connecting and
left when the connection is closed. Entering raises TimeoutError where no place came free."""


def no_limit(address: str, seconds: float) -> AbstractContextManager[object]:
    """A `Slot` for any number of connections."""
    return nullcontext()


def dial(
    addresses: Sequence[str],
    port: int,
    deadline: Deadline,
    held: ExitStack,
    slot: Slot = no_limit,
) -> tuple[str, LimitedSocket]:
    """The address that took the connection, and the socket; `held` closes it and frees the slot.

    Raises FetchError once every address has failed, for the last that is more than unreachable:
    a machine without IPv6 is not what an operator wants to hear of.
    """
    failures: list[FetchError] = []
    for number, address in enumerate(addresses):
        with ExitStack() as attempt:
            try:
                sock = _attempt(address, port, deadline, len(addresses) - number, slot, attempt)
            except FetchError as error:
                failures.append(error)
                continue
            held.enter_context(attempt.pop_all())
            return address, sock
    raise next(
        (error for error in reversed(failures) if error.reason != "network-unreachable"),
        failures[-1],
    )


def _attempt(
    address: str, port: int, deadline: Deadline, left: int, slot: Slot, attempt: ExitStack
) -> LimitedSocket:
    try:
        seconds = min(LONGEST_CONNECT, deadline.remaining() / left)
        _take(slot, address, seconds, attempt)
        sock = _connect(address, port, deadline, seconds)
    except OSError as error:
        raise fetch_error(error, CONNECT) from error
    attempt.callback(sock.close)
    return sock


def _take(slot: Slot, address: str, seconds: float, attempt: ExitStack) -> None:
    try:
        attempt.enter_context(slot(address, seconds))
    except TimeoutError as error:
        raise FetchError(
            f"too many of our own connections to {address}", reason="address-busy"
        ) from error


def _connect(address: str, port: int, deadline: Deadline, seconds: float) -> LimitedSocket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = LimitedSocket(family, socket.SOCK_STREAM)
    sock.limits = Limits(deadline)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(min(seconds, deadline.remaining()))
        with waiting():
            sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock
