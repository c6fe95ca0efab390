"""The server inside the test's process, in a thread, with the world and the clock of the test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from mtastsweb.environment import OnDNSError
from mtastsweb.values import Address, UnixSocket
from policies.socketmap.server.listeners import Listeners, listen
from policies.socketmap.server.lookups import DANE
from policies.socketmap.server.pool import Pool
from policies.socketmap.server.run import new_event_loop
from policies.socketmap.server.server import Limits, Server, make_pool
from policies.world import World
from tests.socketmap.server.client import Client, Where

T = TypeVar("T")

LIMITS = Limits(cache=1000, per_address=0)


class Clock:
    """Monotonic time that only `pass_` moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Running:
    """A server on a port of its own, from here to `stop`."""

    def __init__(
        self,
        world: World | Callable[[Pool], World],
        *,
        limits: Limits = LIMITS,
        pool: Pool | None = None,
        setting: OnDNSError = OnDNSError.CAREFUL,
        dane: DANE | None = None,
        unix: Path | None = None,
        new_event_loop: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
    ) -> None:
        self.clock = Clock()
        self.pool = pool or make_pool(limits)
        self._limits, self._setting, self._dane = limits, setting, dane
        self._new_event_loop = new_event_loop
        self._world = world if isinstance(world, World) else world(self.pool)
        address = UnixSocket(unix) if unix else Address("127.0.0.1", 0)
        self._listeners: Listeners = listen([address])
        self.where: Where = unix or self._listeners.sockets[0].getsockname()
        self._up: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="server")
        self._thread.start()
        self._up.result(10)

    def client(self) -> Client:
        return Client(self.where)

    def ask(self, key: str, name: str = "postfix") -> bytes:
        with self.client() as client:
            return client.ask(key, name)

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns, called in the event loop's thread."""

        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(10)

    def pass_(self, seconds: float) -> None:
        """Let time pass for whatever is trusted."""
        self.clock.pass_(seconds)
        self.call(lambda: self.server.memory.sweep(self.clock()))

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 10.0) -> None:
        """Returns once `is_so()`, asked in the event loop's thread, or raises TimeoutError."""
        wait_until(lambda: self.call(is_so), seconds)

    def loaded(self) -> Running:
        """Itself, once all rows are in memory."""
        self.wait_until(lambda: self.server.memory.is_complete)
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._new_event_loop) as runner:
            runner.run(self._serve())
        self._listeners.remove_files()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.server = Server(
            self._limits, self.pool, self._world, self._setting, self._dane, self.clock
        )
        await self.server.start(self._listeners.sockets)
        self._up.set_result(None)
        await self._stop.wait()
        await self.server.stop()


def wait_until(is_so: Callable[[], bool], seconds: float = 10.0, pause: float = 0.01) -> None:
    """Returns once `is_so()`, asked each `pause`; raises TimeoutError after `seconds`."""
    give_up = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not so after {seconds} s")
        time.sleep(pause)
