"""Peers that ask much, slowly, badly, or nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from policies.socketmap.netstring import encode
from policies.socketmap.server.connection import IDLE_ROUNDS, STALLED_ROUNDS
from policies.socketmap.server.run import new_event_loop
from policies.socketmap.server.server import Limits
from tests.socketmap.server.client import Client
from tests.socketmap.server.running import Running
from tests.worlds import ENFORCE, Script

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"
ASK = encode(b"postfix example.org")
NOT_OURS = encode(b"postfix [mail.example.org]")


@pytest.fixture(params=[new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def server(serve: Serve, script: Script, request: pytest.FixtureRequest) -> Running:
    script.publish(ENFORCE)
    return serve(new_event_loop=request.param)


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with server.client() as connected:
        yield connected


def test_requests_in_one_piece_are_answered_in_their_order(client: Client) -> None:
    client.send(NOT_OURS + ASK + NOT_OURS + ASK)
    assert [client.reply() for _ in range(4)] == [b"NOTFOUND ", SECURE] * 2


def test_a_request_may_come_byte_by_byte(client: Client) -> None:
    for byte in ASK:
        client.send(bytes([byte]))
    assert client.reply() == SECURE


def test_two_requests_may_be_cut_anywhere(client: Client) -> None:
    client.ask("example.org")
    for cut in range(1, 2 * len(ASK)):
        client.send((ASK + ASK)[:cut])
        client.send((ASK + ASK)[cut:])
        assert [client.reply(), client.reply()] == [SECURE, SECURE]


def test_replies_keep_their_order_while_one_is_looked_up(
    server: Running, client: Client, script: Script
) -> None:
    gate = threading.Event()
    script.during_fetch = lambda: bool(gate.wait(10))
    client.send(ASK)
    server.wait_until(lambda: server.server.answers.waiting == 1)
    client.send(NOT_OURS + ASK)
    gate.set()
    assert [client.reply() for _ in range(3)] == [SECURE, b"NOTFOUND ", SECURE]


def test_who_has_sent_its_last_request_still_gets_the_reply(client: Client) -> None:
    client.send(ASK)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.reply() == SECURE
    assert client.is_hung_up()


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.0\r\n\r\n", b"20000:x", b"3:abcd", b"\x16\x03\x01", b"-1:,"]
)
def test_garbage_closes_that_connection_only(
    server: Running, client: Client, garbage: bytes
) -> None:
    client.ask("example.org")
    with server.client() as bad:
        bad.send(ASK + garbage)
        assert bad.reply() == SECURE
        assert bad.is_hung_up()
    assert client.ask("example.org") == SECURE


def test_a_query_may_have_ten_thousand_bytes(client: Client) -> None:
    client.send(encode(b"postfix " + b"x" * 9992))
    assert client.reply() == b"NOTFOUND "
    client.send(encode(b"postfix " + b"x" * 9993))
    assert client.is_hung_up()


def test_who_sends_a_byte_now_and_then_is_dropped(server: Running, client: Client) -> None:
    for byte in ASK[:STALLED_ROUNDS]:
        client.send(bytes([byte]))
        server.wait_until(lambda: any(each.is_stalled for each in server.server.connections.open))
        server.call(server.server.connections.tend)
    assert client.is_hung_up()


def test_who_asks_nothing_is_dropped_in_the_end(server: Running, client: Client) -> None:
    client.ask("example.org")
    for _ in range(IDLE_ROUNDS):
        server.call(server.server.connections.tend)
    assert client.ask("example.org") == SECURE
    for _ in range(IDLE_ROUNDS + 1):
        server.call(server.server.connections.tend)
    assert client.is_hung_up()


def test_who_waits_for_a_lookup_is_not_dropped(
    server: Running, client: Client, script: Script
) -> None:
    gate = threading.Event()
    script.during_fetch = lambda: bool(gate.wait(10))
    client.send(ASK)
    server.wait_until(lambda: server.server.answers.waiting == 1)
    for _ in range(2 * IDLE_ROUNDS):
        server.call(server.server.connections.tend)
    gate.set()
    assert client.reply() == SECURE


def test_who_reads_no_replies_is_not_answered_any_further_and_dropped(
    server: Running, client: Client
) -> None:
    client.ask("example.org")
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        client.send(ASK * 2_000_000)
    assert server.call(lambda: any(each.is_stalled for each in server.server.connections.open))
    for _ in range(STALLED_ROUNDS + 1):
        server.call(server.server.connections.tend)
    server.wait_until(lambda: not server.server.connections.open)


def test_who_reads_late_gets_every_reply(server: Running, client: Client) -> None:
    client.ask("example.org")
    number = 200_000
    sender = threading.Thread(target=client.send, args=(ASK * number,))
    sender.start()
    server.wait_until(lambda: any(each.is_stalled for each in server.server.connections.open))
    expected = encode(SECURE) * number
    got = bytearray()
    while len(got) < len(expected):
        got += client.socket.recv(1 << 20)
    sender.join()
    assert got == expected


def test_connections_over_the_limit_are_closed_and_the_others_go_on(
    serve: Serve, script: Script
) -> None:
    script.publish(ENFORCE)
    server = serve(limits=Limits(cache=1000, per_address=0, connections=3))
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(3)]
        assert [client.ask("example.org") for client in clients] == [SECURE] * 3
        assert stack.enter_context(server.client()).is_hung_up()
        assert [client.ask("example.org") for client in clients] == [SECURE] * 3
        clients[0].close()
        server.wait_until(lambda: len(server.server.connections.open) == 2)
        assert stack.enter_context(server.client()).ask("example.org") == SECURE
    assert server.server.status.details()["refused_connections"] == 1
