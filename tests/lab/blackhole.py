"""An address that swallows connections: the handshake of TCP never ends."""

from __future__ import annotations

import contextlib
import socket


class Blackhole:
    """Listens at `address` and never accepts. Its queue is full, so the kernel drops each SYN."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self._sockets = [socket.create_server((address, port), backlog=0)]
        for _ in range(2):  # one fills the queue, the other finds it full
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((address, port))
            self._sockets.append(filler)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()
