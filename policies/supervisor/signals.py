"""Signals as something to wait for, with a timeout."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Self

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Signals:
    """While entered, SIGCHLD and the stop signals wake `wait` instead of what they else do."""

    def __enter__(self) -> Self:
        self._receiver, sender = socket.socketpair()
        self._sender = sender
        for end in (self._receiver, sender):
            end.setblocking(False)
        self._old_descriptor = signal.set_wakeup_fd(sender.fileno())
        self._old_handlers = {
            number: signal.signal(number, _take_note) for number in _to_be_handled()
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_descriptor)
        self._receiver.close()
        self._sender.close()

    def wait(self, timeout: float) -> frozenset[int]:
        """The signals that came; empty after `timeout` seconds without one."""
        ready, _, _ = select.select([self._receiver], [], [], timeout)
        return frozenset(self._receiver.recv(4096)) if ready else frozenset()


def _take_note(number: int, frame: FrameType | None) -> None:
    """Stands in for the default action; the wake-up descriptor carries the number."""


def _to_be_handled() -> frozenset[signal.Signals]:
    """All of them, but for a SIGHUP that nohup has switched off."""
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (STOP_SIGNALS | {signal.SIGCHLD}) - ({signal.SIGHUP} if is_nohup else set())
