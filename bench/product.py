"""The product with a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.processes import ROOT, Server, free_port, server


class Product:
    """`manage.py` in an environment with a fresh data directory."""

    def __init__(self, data_dir: str, settings: Mapping[str, str]) -> None:
        self._environ = {**os.environ, **settings, "DATA_DIR": data_dir}

    def manage(self, *command: str) -> None:
        self._run("manage.py", *command)

    def fill(self, count: int) -> None:
        """Store the policies of so many domains."""
        self._run("-m", "bench.fill", str(count))

    @contextmanager
    def socketmap(self, **settings: str) -> Iterator[Server]:
        """The server, on a port of its own."""
        port = free_port()
        environ = {**self._environ, **settings, "SOCKETMAP_LISTEN": f"127.0.0.1:{port}"}
        with server("manage.py", "socketmap", port=port, environ=environ) as running:
            yield running

    def _run(self, *command: str) -> None:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=self._environ, check=True)


@contextmanager
def product(settings: Mapping[str, str], *, policies: int = 0) -> Iterator[Product]:
    """With so many policies in its database."""
    with tempfile.TemporaryDirectory(prefix="bench-") as data_dir:
        made = Product(data_dir, settings)
        made.manage("migrate", "--verbosity", "0")
        if policies:
            made.fill(policies)
        yield made
