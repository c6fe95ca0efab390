"""A child that is forked from this process: the code that both have loaded is in memory once.

It is as if it had been started anew in all else: a session, descriptors and signals of its own.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

Main = Callable[[], None]

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_COMM = Path("/proc/self/comm")
_DESCRIPTORS = Path("/proc/self/fd")
_NAME_LIMIT = 15  # of Linux, for what ps and top show


class Fork:
    """What `subprocess.Popen` is for a command, for a function.

    `kept`: the descriptor that it inherits besides the standard ones. `prepare`: called in it
    first.
    """

    def __init__(
        self, name: str, main: Main, environ: Mapping[str, str], kept: int, prepare: Main
    ) -> None:
        def run() -> None:
            _begin(name, environ, kept)
            prepare()
            main()

        # A fork by multiprocessing, for it knows how a forked interpreter has to end.
        self._process = multiprocessing.get_context("fork").Process(target=run, name=name)
        self._process.start()
        assert self._process.pid is not None  # noqa: S101 - it was started
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit status, a signal's number negative; None while it runs."""
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.poll() is None:
            self._process.terminate()


def _begin(name: str, environ: Mapping[str, str], kept: int) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _let_go(kept)
    os.environ.clear()
    os.environ.update(environ)
    with suppress(OSError):  # of other systems
        _COMM.write_text(name[:_NAME_LIMIT], encoding="ascii")


def _descriptors() -> list[int]:
    try:
        return [int(entry.name) for entry in _DESCRIPTORS.iterdir()]
    except FileNotFoundError:  # on other systems
        return list(range(os.sysconf("SC_OPEN_MAX")))


def _let_go(kept: int) -> None:
    """Have nothing more of what the next program after an exec would not have.

    Locks and pipes of the parent end when the last descriptor of them is gone. The numbers stay
    taken: objects here still know them, and must not meet what is opened later.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _descriptors():
        with suppress(OSError):  # not open, as the listing's own is not any more
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
            if flags & fcntl.FD_CLOEXEC and descriptor not in (kept, nothing):
                os.dup2(nothing, descriptor, inheritable=False)
