"""An HTTP proxy on loopback that tunnels to one place, whatever it is asked for."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading


class ConnectProxy:
    """Answers CONNECT; use as a context manager.

    `target`: where every tunnel leads. `context`: for TLS with the client. `reply`: said in place
    of a tunnel; the connection then stays until the client closes it. `heads`: the requests.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        context: ssl.SSLContext | None = None,
        reply: bytes | None = None,
    ) -> None:
        self.heads: list[str] = []
        self._target = target
        self._context = context
        self._reply = reply
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> ConnectProxy:
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _start(self, work: object, *args: object) -> threading.Thread:
        assert callable(work)
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the server was shut down
            while True:
                client, _ = self._server.accept()
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.enter_context(client)
            if self._context:
                client = stack.enter_context(self._context.wrap_socket(client, server_side=True))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.heads.append(head.decode())
            if self._reply is not None:
                client.sendall(self._reply)
                client.recv(1)
                return
            target = stack.enter_context(socket.create_connection(self._target))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(target, client))
            back.start()
            _copy(client, target)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
