"""`python -m bench.alone RUN`: names never seen, by requests and dnspython and nothing else.

What a lookup costs at the least with these two libraries: three questions to DNS, one GET over TLS
to the address found, with the roots loaded once. Nothing is decided, stored or served. Reads the
laboratory's settings from the environment, and prints the rate and the processor time of each as
JSON.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dns.resolver
import requests
from requests.adapters import HTTPAdapter

from bench.names import NEVER_SEEN, new_names
from bench.processes import ROOT

THREADS = 64


class _Adapter(HTTPAdapter):
    """Dials an address, and verifies the name of the URL's host."""

    def __init__(self, address: str, port: int, context: ssl.SSLContext) -> None:
        self._address, self._port, self._context = address, port, context
        super().__init__()

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """The context has the roots already."""

    def build_connection_pool_key_attributes(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        host = request.url.split("/")[2]
        return (
            {"scheme": "https", "host": self._address, "port": self._port},
            {"ssl_context": self._context, "server_hostname": host, "assert_hostname": host},
        )


class Alone:
    def __init__(self, nameserver: str, port: int, ca_file: str) -> None:
        self._nameserver, self._port = nameserver, port
        self._here = threading.local()
        self._context = ssl.create_default_context(cafile=ca_file)

    def look_up(self, name: str) -> None:
        self._resolve(f"_mta-sts.{name}.", "TXT")
        host = f"mta-sts.{name}"
        (address,) = self._resolve(f"{host}.", "A")
        self._resolve(f"{host}.", "AAAA")
        url = f"https://{host}/.well-known/mta-sts.txt"
        request = requests.Request("GET", url, headers={"Host": host}).prepare()
        adapter = _Adapter(str(address), self._port, self._context)
        response = adapter.send(request, timeout=30)
        if response.status_code != 200 or "enforce" not in response.text:
            raise RuntimeError(f"{url}: {response.status_code}")
        adapter.close()

    def _resolve(self, name: str, rdtype: str) -> list[Any]:
        if not hasattr(self._here, "resolver"):
            resolver = self._here.resolver = dns.resolver.Resolver(configure=False)
            address, _, port = self._nameserver.rpartition(":")
            resolver.nameservers, resolver.port = [address], int(port)
        return list(self._here.resolver.resolve(name, rdtype, raise_on_no_answer=False))


@dataclass(frozen=True, slots=True)
class Cost:
    """Names a second, and milliseconds of processor time for each."""

    rate: float
    cpu: float


def alone_cost(run: int, settings: Mapping[str, str]) -> Cost:
    """Measured in a process of its own, against the laboratory of these settings."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.alone", str(run)],
        cwd=ROOT,
        env={**os.environ, **settings},
        check=True,
        capture_output=True,
    )
    return Cost(**json.loads(done.stdout))


def main() -> None:
    alone = Alone(
        os.environ["MTASTS_NAMESERVERS"],
        int(os.environ["MTASTS_POLICY_PORT"]),
        os.environ["MTASTS_CA_FILE"],
    )
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(alone.look_up, new_names(THREADS, 1000)))
        names = new_names(NEVER_SEEN, int(sys.argv[1]))
        began, cpu = time.monotonic(), time.process_time()
        list(pool.map(alone.look_up, names))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    print(json.dumps({"rate": len(names) / seconds, "cpu": cpu / len(names) * 1000}))


if __name__ == "__main__":
    main()
