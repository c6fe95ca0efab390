"""The server, put together."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mtastsweb.environment import OnDNSError
from policies import exceptions
from policies.socketmap.exceptions import Rules
from policies.socketmap.server.answers import Answers
from policies.socketmap.server.background import Background
from policies.socketmap.server.clerk import Clerk
from policies.socketmap.server.connection import Connection, Connections
from policies.socketmap.server.database import ERRORS, Database
from policies.socketmap.server.excepted import Excepted
from policies.socketmap.server.listeners import BACKLOG
from policies.socketmap.server.lookups import DANE, Desk
from policies.socketmap.server.memory import Memory
from policies.socketmap.server.pool import Pool
from policies.socketmap.server.scribe import Scribe
from policies.socketmap.server.status import Status
from policies.socketmap.server.watcher import Watcher
from policies.world import World

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 10_000
RESERVED_FILES = 1024
"""Files that are no connection of Postfix: policy hosts, nameservers, the database."""

THREADS, SLOW_THREADS = 128, 256
SHARE = THREADS // 8
"""Of the threads: what one registrable domain and one policy host's address may hold each."""

OTHERS = 20_000
"""Names without a row that are remembered."""

DATABASE_CONNECTIONS = 8
SWEEP, TEND = 0.5, 5.0
"""Seconds between looks for replies that lapse, and for connections that stand still."""

FIRST_READING = 3.0
"""Seconds that exceptions may take to be read before the first answer."""

GRACE = 0.05
"""Seconds at the end in which what has arrived already is read."""

LAST_ANSWERS = 8.0
"""Seconds at the end for lookups under way; the supervisor waits for ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`cache`: rows in memory. `per_address`: connections to one policy host's address, 0 for no
    limit, nor any share of the threads. `deadline`: seconds for a query."""

    cache: int
    per_address: int
    deadline: float = 25.0
    connections: int = MOST_CONNECTIONS
    others: int = OTHERS


def make_pool(limits: Limits) -> Pool:
    share = SHARE if limits.per_address else 0
    return Pool(
        size=THREADS,
        slow=SLOW_THREADS,
        zone_share=share,
        address_share=min(share, limits.per_address),
    )


class Server:
    """Answers on sockets that listen already. To be made inside the event loop."""

    def __init__(
        self,
        limits: Limits,
        pool: Pool,
        outside: World,
        setting: OnDNSError,
        dane: DANE | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._database = Database(DATABASE_CONNECTIONS)
        self._pool = pool
        self.memory = Memory(limits.cache, limits.others)
        scribe = Scribe(self._database)
        self._desk = desk = Desk(self._database, scribe, outside, Excepted(outside.now()), dane)
        self.answers = Answers(
            self.memory, pool, desk, setting, deadline=limits.deadline, clock=clock
        )
        self.connections = Connections(
            min(limits.connections, _raised_file_limit() - RESERVED_FILES), self._refused
        )
        self.status = Status(
            self.answers.counts, self.memory, self.connections, pool, self._database
        )
        self._servers: list[asyncio.Server] = []
        self._threads: tuple[Background, ...] = (
            Watcher(self.answers, desk, loop),
            Clerk(self.status, desk),
        )
        self._refused_logged = -60.0

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Answer from now on, under the exceptions that there are."""
        await self._know_exceptions()
        loop = asyncio.get_running_loop()
        for sock in sockets:
            create = (
                loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            )
            self._servers.append(await create(self._connection, sock=sock, backlog=BACKLOG))
        for thread in self._threads:
            thread.start()
        self._repeat(SWEEP, self._sweep)
        self._repeat(1.0, lambda: self._pool.tend(time.monotonic()))
        self._repeat(TEND, self.connections.tend)

    async def stop(self) -> None:
        """Answer what was asked, write down what was used, and return."""
        await asyncio.sleep(GRACE)
        for server in self._servers:
            server.close()
        await asyncio.sleep(GRACE)
        self.answers.finish_soon(LAST_ANSWERS)
        self.connections.drain()
        give_up = time.monotonic() + LAST_ANSWERS + 1.0
        while self.connections.open and time.monotonic() < give_up:
            await asyncio.sleep(GRACE)
        for thread in self._threads:
            thread.stopped.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, LAST_ANSWERS)
        self._pool.close()
        await asyncio.to_thread(self._database.close)

    async def _know_exceptions(self) -> None:
        """Where the database does not answer at once, the watcher reads them as soon as it does."""
        reading = asyncio.to_thread(_read_exceptions, self._desk)
        try:
            rules = await asyncio.wait_for(reading, FIRST_READING)
        except TimeoutError:
            log.error("exceptions could not be read in time; those that there are do not count yet")
            return
        except ERRORS as error:
            self._database.note(error)
            return
        self.answers.excepted(rules)

    def _sweep(self) -> None:
        self.memory.sweep(self.answers.clock())
        self.answers.move_on()

    def _connection(self) -> Connection:
        return Connection(self.connections, self.answers)

    def _repeat(self, interval: float, function: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(interval, again)
            function()

        loop.call_later(interval, again)

    def _refused(self) -> None:
        self.answers.counts.refused_connections += 1
        now = time.monotonic()
        if now - self._refused_logged > 60.0:
            self._refused_logged = now
            log.error("too many connections", extra={"open": len(self.connections.open)})


def _read_exceptions(desk: Desk) -> Rules:
    """All of them, in a thread that has no connection of its own. Raises DatabaseError."""
    with desk.database.lent():
        return exceptions.current(desk.outside.now())


def _raised_file_limit() -> int:
    """How many files this process may open, after asking for as many as it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + RESERVED_FILES
    most = wanted if most == resource.RLIM_INFINITY else min(most, wanted)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)
