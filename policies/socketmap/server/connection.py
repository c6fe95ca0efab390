"""One connection of Postfix."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from policies.socketmap.netstring import ProtocolError, Reader, encode

if TYPE_CHECKING:
    from policies.socketmap.server.answers import Answers

STALLED_ROUNDS = 3
"""How many times `tend` may find an unfinished request, or unread replies, and no progress."""

IDLE_ROUNDS = 24
"""How many times `tend` may find nothing asked at all."""


class Connections:
    """All that are open, at most `most`.

    `is_draining`: the server stops; whoever has its answer is let go.
    """

    def __init__(self, most: int, on_refused: Callable[[], None]) -> None:
        self.open: set[Connection] = set()
        self.is_draining = False
        self._most = most
        self._on_refused = on_refused

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        if len(self.open) >= self._most:
            self._on_refused()
            return False
        self.open.add(connection)
        return True

    def tend(self) -> None:
        """Drop who holds a place and asks nothing. To be called every few seconds."""
        for connection in list(self.open):
            connection.tend()

    def drain(self) -> None:
        """Close each connection as soon as what was asked on it is answered."""
        self.is_draining = True
        for connection in list(self.open):
            connection.leave()


class Connection(asyncio.Protocol):
    """Answers requests in their order, and reads no further while one waits for its answer.

    `data_received` is the hot path: one request that is ready costs one look into a dict.
    """

    __slots__ = (
        "_answers", "_connections", "_has_asked", "_is_broken", "_is_free", "_is_paused",
        "_is_waiting", "_reader", "_ready", "_requests", "_rounds", "_transport", "_use", "_write",
    )  # fmt: skip

    _transport: asyncio.Transport
    _write: Callable[[bytes], None]

    def __init__(self, connections: Connections, answers: Answers) -> None:
        self._connections = connections
        self._answers = answers
        self._ready = answers.memory.ready.get
        self._use = answers.memory.used.append
        self._reader = Reader()
        self._requests: deque[bytes] = deque()
        self._is_free = True  # the next bytes begin a request that can be answered at once
        self._is_waiting = False  # for a lookup
        self._is_paused = False  # the peer does not read
        self._is_broken = False  # what comes next cannot be understood, or will not come
        self._has_asked = False
        self._rounds = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        if not self._connections.enter(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_broken = True
        self._requests.clear()
        self._connections.open.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._is_free:
            ready = self._ready(data)
            if ready is not None:
                if ready.hits:
                    ready.hits += 1
                else:
                    ready.hits = 1
                    self._use(ready)
                self._has_asked = True
                self._write(ready.reply)
                return
        self._receive(data)

    def eof_received(self) -> bool:
        """Whether to keep the connection: the peer may still read what it has asked for."""
        self._is_broken = True
        return self._is_waiting or bool(self._requests)

    def pause_writing(self) -> None:
        self._is_paused, self._is_free = True, False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._go_on()

    @property
    def is_stalled(self) -> bool:
        """Whether it is the peer's turn to send the rest of a request, or to read a reply."""
        return self._is_paused or self._reader.pending > 0

    def tend(self) -> None:
        """Count what stands still; drop the connection when it does for too long."""
        if self._has_asked or self._is_waiting:
            self._has_asked, self._rounds = False, 0
            return
        self._rounds += 1
        if self._rounds >= (STALLED_ROUNDS if self.is_stalled else IDLE_ROUNDS):
            self._transport.abort()

    def leave(self) -> None:
        """Close the connection unless something is still to be answered on it."""
        if not (self._is_waiting or self._requests):
            self._transport.close()

    def _receive(self, data: bytes) -> None:
        try:
            self._requests.extend(self._reader.feed(data))
        except ProtocolError:
            self._is_broken = True
        self._go_on()

    def _go_on(self) -> None:
        """Answer what was asked, up to the first that has to wait."""
        while self._requests and not (self._is_waiting or self._is_paused):
            reply = self._reply(self._requests.popleft())
            if reply is None:
                self._is_waiting = True
                break
            self._has_asked = True
            self._write(reply)
        self._set_free()

    def _reply(self, request: bytes) -> bytes | None:
        ready = self._ready(encode(request))
        if ready is None:
            return self._answers.ask(request, self._give)
        if not ready.hits:
            self._use(ready)
        ready.hits += 1
        return ready.reply

    def _give(self, reply: bytes) -> None:
        """The answer to the request that waited."""
        self._is_waiting = False
        if self._transport.is_closing():
            return
        self._has_asked = True
        self._write(reply)
        self._go_on()

    def _set_free(self) -> None:
        if self._transport.is_closing():
            return
        if self._is_waiting or self._is_paused:
            self._is_free = False
            self._transport.pause_reading()
        elif self._is_broken or self._connections.is_draining:
            self._transport.close()
        else:
            self._is_free = not self._reader.pending
            self._transport.resume_reading()
