"""Connections, one address after the other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from policies.mtasts.deadline import Deadline
from policies.mtasts.dial import dial
from policies.mtasts.errors import FetchError

# The kernel has no route to the broadcast address of the loopback network.
UNREACHABLE = "127.255.255.255"
NOBODY_THERE = "127.0.0.2"
BRIEF = 0.3


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which 127.0.0.1 takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full, so that the kernel drops whatever comes to it."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        while True:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.05)
            try:
                client.connect(server.getsockname())
            except TimeoutError:
                break
        yield server.getsockname()[1]


def failure(addresses: list[str], port: int, seconds: float = BRIEF) -> str:
    with ExitStack() as held, pytest.raises(FetchError) as caught:
        dial(addresses, port, Deadline(seconds), held)
    return caught.value.reason


def test_the_first_address_that_takes_a_connection_has_it(port: int) -> None:
    with ExitStack() as held:
        address, sock = dial([UNREACHABLE, NOBODY_THERE, "127.0.0.1"], port, Deadline(5), held)
        assert address == "127.0.0.1"
        assert sock.getpeername() == ("127.0.0.1", port)
    assert sock.fileno() == -1


def test_an_ipv6_address_is_dialled_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server, ExitStack() as held:
        address, _ = dial(["::1"], server.getsockname()[1], Deadline(5), held)
        assert address == "::1"


def test_the_failure_of_the_last_address_is_told(port: int) -> None:
    assert failure([NOBODY_THERE], port) == "connection-refused"
    assert failure([UNREACHABLE], port) == "network-unreachable"


def test_an_address_out_of_reach_says_less_than_any_other(port: int) -> None:
    assert failure([NOBODY_THERE, UNREACHABLE], port) == "connection-refused"
    assert failure([UNREACHABLE, NOBODY_THERE], port) == "connection-refused"


def test_connecting_ends_when_the_time_is_up(full_port: int) -> None:
    assert failure(["127.0.0.1"], full_port) == "connect-timeout"


def test_no_time_left_is_no_connection(port: int) -> None:
    assert failure(["127.0.0.1"], port, seconds=0) == "connect-timeout"


def test_a_dead_address_leaves_time_for_the_next(full_port: int) -> None:
    with socket.create_server((NOBODY_THERE, full_port)), ExitStack() as held:
        address, _ = dial(["127.0.0.1", NOBODY_THERE], full_port, Deadline(2 * BRIEF), held)
    assert address == NOBODY_THERE


def test_a_place_is_left_before_the_next_address_is_tried(port: int) -> None:
    events: list[str] = []

    @contextmanager
    def slot(address: str, seconds: float) -> Iterator[None]:
        events.append(f"at {address}")
        yield
        events.append(f"left {address}")

    with ExitStack() as held:
        dial([NOBODY_THERE, "127.0.0.1"], port, Deadline(5), held, slot)
        assert events == [f"at {NOBODY_THERE}", f"left {NOBODY_THERE}", "at 127.0.0.1"]
    assert events[-1] == "left 127.0.0.1"
