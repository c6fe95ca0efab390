"""The policy host: accepts on several addresses, finds the site by SNI, lets it play."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable
from functools import partial

from tests.lab.connection import Connection
from tests.lab.log import Log, Request
from tests.lab.loop import Listener, Workers, accept
from tests.lab.replies import Behaviour, InTurn, Site

Find = Callable[[str], tuple[Site, Behaviour]]

TCP_ESTABLISHED = 1


class OpenConnections:
    """Which connections there are at each address, and the most there were at a time.

    A client that closes one connection and then opens another has one at a time, though the
    worker of the first may not have noticed yet: before a new peak counts, the kernel is asked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, set[socket.socket]] = {}
        self._peak: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def add(self, address: str, sock: socket.socket) -> None:
        with self._lock:
            connections = self._open.setdefault(address, set())
            connections.add(sock)
            self._total[address] = self._total.get(address, 0) + 1
            if len(connections) > self._peak.get(address, 0):
                alive = sum(map(_is_established, connections))
                self._peak[address] = max(alive, self._peak.get(address, 0))

    def remove(self, address: str, sock: socket.socket) -> None:
        with self._lock:
            self._open[address].discard(sock)

    def now(self, address: str) -> int:
        """How many are open."""
        with self._lock:
            return sum(map(_is_established, self._open.get(address, ())))

    def peak(self, address: str) -> int:
        """The most that were open at a time."""
        with self._lock:
            return self._peak.get(address, 0)

    def total(self, address: str | None = None) -> int:
        """How many there have been, at this address or at all."""
        with self._lock:
            return sum(self._total.values()) if address is None else self._total.get(address, 0)

    def clear(self) -> None:
        """Forgets peaks and totals."""
        with self._lock:
            self._peak.clear()
            self._total.clear()


class HTTPSServer:
    """Serves what `find` knows under a server name, on one port at several loopback addresses."""

    def __init__(
        self,
        addresses: int,
        find: Find,
        log: Log[Request],
        listener: Listener,
        workers: Workers,
    ) -> None:
        self._find = find
        self._log = log
        self._workers = workers
        self.connections = OpenConnections()
        sockets = _bound(addresses)
        self.port: int = sockets[0].getsockname()[1]
        self.addresses: tuple[str, ...] = tuple(sock.getsockname()[0] for sock in sockets)
        for sock, address in zip(sockets, self.addresses, strict=True):
            listener.add(sock, partial(self._accept, sock, address))

    def _accept(self, listening: socket.socket, address: str) -> None:
        sock = accept(listening)
        if sock is None:
            return
        self.connections.add(address, sock)
        self._workers.run(lambda _: self._serve(sock, address), sock)

    def _serve(self, sock: socket.socket, address: str) -> None:
        try:
            # Clients that refuse, break off or give up are what the laboratory is for.
            with sock, contextlib.suppress(OSError):
                self._play(Connection(sock, address))
        finally:
            self.connections.remove(address, sock)

    def _play(self, connection: Connection) -> None:
        connection.read_hello()
        site, behaviour = self._find(connection.sni)
        if isinstance(behaviour, InTurn):
            behaviour = behaviour.next()
        behaviour.greet(connection, site)
        request = connection.read_request()
        self._log.append(request)
        behaviour.answer(connection, site, request)


def _is_established(sock: socket.socket) -> bool:
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED
    except OSError:
        return False


def _bound(count: int) -> list[socket.socket]:
    """Listening sockets on one port of so many addresses, in a net of their own if several.

    The net 127.x.y.0 is drawn by lot, so that laboratories of parallel test runs stay apart.
    """
    if count == 1:
        return [socket.create_server(("127.0.0.1", 0), backlog=1024)]
    while True:
        net = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}"
        sockets = [socket.create_server((f"{net}.1", 0), backlog=1024)]
        port = sockets[0].getsockname()[1]
        try:
            sockets.extend(
                socket.create_server((f"{net}.{last}", port), backlog=1024)
                for last in range(2, count + 1)
            )
        except OSError:  # somebody has this port there: try another net
            for sock in sockets:
                sock.close()
        else:
            return sockets
