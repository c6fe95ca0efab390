"""The whole product, running against a laboratory of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from mtastsweb.environment import BASE_DIR
from tests.lab.lab import Lab
from tests.settings import is_of_the_product


def free_port() -> int:
    """A port where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """`manage.py start` on SQLite in `data_dir`: web, worker and socketmap.

    `setup_link`: what it printed for the first login. `mail_port`: where it probes mail hosts.
    """

    def __init__(self, data_dir: Path) -> None:
        self.lab = Lab(addresses=8)
        self.mail_port = free_port()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.setup_link = ""
        self._data_dir = data_dir
        self._process: subprocess.Popen[str] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which its processes run."""
        ours = {name: value for name, value in os.environ.items() if not is_of_the_product(name)}
        return {
            **ours,
            **self.lab.settings(),
            "DJANGO_SETTINGS_MODULE": "mtastsweb.settings",
            "DATA_DIR": str(self._data_dir),
            "WEB_LISTEN": self.url.removeprefix("http://"),
            "SOCKETMAP_LISTEN": f"unix:{self._data_dir}/socketmap",
            "MTASTS_FETCH_TIMEOUT": "20",
            "MTASTS_PROBE_PORT": str(self.mail_port),
        }

    def python(self, *arguments: str) -> str:
        """Runs Python in the product's environment; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environ,
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def manage(self, *arguments: str) -> str:
        """Runs `manage.py …`; what it printed."""
        return self.python(str(BASE_DIR / "manage.py"), *arguments)

    def run(self, code: str) -> str:
        """Runs Python with the models of the product; what it printed."""
        return self.manage("shell", "--no-imports", "--command", code)

    def ask(self, *domains: str) -> list[str]:
        """Asks for these domains' policies, as Postfix does; the replies."""
        replies = []
        with socket.socket(socket.AF_UNIX) as postfix:
            postfix.connect(f"{self._data_dir}/socketmap")
            for domain in domains:
                request = f"postfix {domain}".encode()
                postfix.sendall(b"%d:%s," % (len(request), request))
                reply = b""
                while not reply.endswith(b","):
                    reply += postfix.recv(65536)
                replies.append(reply.partition(b":")[2].removesuffix(b",").decode())
        return replies

    def __enter__(self) -> Product:
        self.lab.start()
        self.manage("migrate", "--verbosity", "0")
        with (self._data_dir / "log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(BASE_DIR / "manage.py"), "start"],
                env=self.environ,
                cwd=BASE_DIR,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("First login: "):
                self.setup_link = line.removeprefix("First login: ").strip()
                return self
        raise RuntimeError(f"it did not start: {self.log}")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self._data_dir / "log").read_text()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
        self.lab.stop()
