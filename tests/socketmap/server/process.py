"""The server as a process of its own: `manage.py socketmap` on a database of the test's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mtastsweb.environment import BASE_DIR
from tests.settings import is_of_the_product
from tests.socketmap.server.client import Client

START = 20.0
"""Seconds after which a server that does not answer is a failure."""

# systemd sets LISTEN_PID to the process that it becomes, as nobody else can know the number.
_HANDED_OVER = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
    " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def environment(data_dir: Path, port: int, **variables: str) -> dict[str, str]:
    """For a server on this port, and nothing of the developer's."""
    kept = {name: value for name, value in os.environ.items() if not is_of_the_product(name)}
    return kept | {
        "DATA_DIR": str(data_dir),
        "SOCKETMAP_LISTEN": f"127.0.0.1:{port}",
        "SOCKETMAP_DANE": "off",
        "DJANGO_SETTINGS_MODULE": "mtastsweb.settings",
        **variables,
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def manage(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What `manage.py` prints."""
    return subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), *command],
        env=environ, check=True, capture_output=True, text=True, timeout=180,
    ).stdout  # fmt: skip


class Process:
    """One that runs until `terminate` or `kill`. With `handed`, on this socket of the test's.

    `program`: the `manage.py` of another version, maybe.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        handed: socket.socket | None = None,
        program: Path = BASE_DIR / "manage.py",
    ) -> None:
        self.where = ("127.0.0.1", int(environ["SOCKETMAP_LISTEN"].rpartition(":")[2]))
        command = [str(program), "socketmap"]
        if handed is None:
            self.popen = subprocess.Popen([sys.executable, *command], env=environ)
        else:
            self.where = handed.getsockname()
            self.popen = _started_with(command, environ, handed)

    def client(self) -> Client:
        """A connection, once the server is up."""
        give_up = time.monotonic() + START
        while True:
            try:
                return Client(self.where)
            except ConnectionRefusedError:
                if time.monotonic() > give_up or self.popen.poll() is not None:
                    raise
                time.sleep(0.01)

    def terminate(self) -> int:
        """The exit status after SIGTERM."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(20)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(20)


def _started_with(
    command: Sequence[str], environ: Mapping[str, str], handed: socket.socket
) -> subprocess.Popen[bytes]:
    """As systemd does it: the socket is file 3."""

    def put_in_place() -> None:
        os.dup2(handed.fileno(), 3)

    return subprocess.Popen(
        [sys.executable, "-c", _HANDED_OVER, *command],
        env={**environ, "LISTEN_FDS": "1"}, pass_fds=[3], preexec_fn=put_in_place,
    )  # fmt: skip
