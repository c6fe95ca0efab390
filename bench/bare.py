"""`python -m bench.bare PORT COUNT`: a server that does nothing but answer from a dict.

The most that Python and uvloop can do on a machine: ours is measured as a share of it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import uvloop

from bench.names import cached_names
from policies.socketmap.netstring import encode


class Bare(asyncio.Protocol):
    __slots__ = ("_find", "_rest", "_write")

    def __init__(self, find: Callable[[bytes], bytes | None]) -> None:
        self._find = find
        self._rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # is one
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        while data:
            length, colon, rest = data.partition(b":")
            if not colon or len(rest) <= int(length):
                break
            end = int(length)
            self._write(self._find(rest[:end].partition(b" ")[2]) or b"9:NOTFOUND ,")
            data = rest[end + 1 :]
        self._rest = data


async def main() -> None:
    port, count = map(int, sys.argv[1:])
    replies = {
        name.encode(): encode(b"OK secure match=mx.lab.test servername=hostname")
        for name in cached_names(count)
    }
    server = await asyncio.get_running_loop().create_server(
        lambda: Bare(replies.get), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
