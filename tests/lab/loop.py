"""The two ways in which the laboratory runs: one thread that listens, and workers that serve."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable

Work = Callable[[threading.Event], None]


def accept(listening: socket.socket) -> socket.socket | None:
    """The next connection; None where it went away before we came to it."""
    try:
        connection, _ = listening.accept()
    except (BlockingIOError, ConnectionError):
        return None
    connection.settimeout(None)
    return connection


class Listener:
    """One thread that calls back for every socket that has something to read."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="lab-listener", daemon=True)

    def add(self, sock: socket.socket, on_readable: Callable[[], None]) -> None:
        """The listener owns `sock` from here on and closes it at the end."""
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ, on_readable)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread. The sockets stay open, so that workers may still answer."""
        self._waker.send(b"\0")
        self._thread.join()

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._waker.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake:
                    return
                key.data()


class Workers:
    """Threads that serve one connection or one slow answer each, and can all be ended at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._running: dict[threading.Thread, socket.socket | None] = {}

    def run(self, work: Work, sock: socket.socket | None = None) -> None:
        """Runs `work` in a thread; the event it gets is set when it has to end.

        It may read `sock` for as long as it likes: ending shuts that down under it.
        """
        with self._lock:
            cancelled = self._cancelled
            thread = threading.Thread(
                target=self._run, args=(work, cancelled), name="lab-worker", daemon=True
            )
            self._running[thread] = sock
            thread.start()

    def cancel(self) -> None:
        """Ends what runs and returns once it has ended. New work may follow."""
        with self._lock:
            self._cancelled.set()
            self._cancelled = threading.Event()
            running = self._running.copy()
        for sock in filter(None, running.values()):
            with contextlib.suppress(OSError):  # its worker may just have closed it
                sock.shutdown(socket.SHUT_RDWR)
        for thread in running:
            thread.join()

    def _run(self, work: Work, cancelled: threading.Event) -> None:
        try:
            work(cancelled)
        finally:
            with self._lock:
                del self._running[threading.current_thread()]
