"""`python -m bench.lab DELAY`: the laboratory, whose policy hosts take DELAY seconds to answer.

Prints the product's settings for it as NAME=VALUE lines, and then an empty line.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass, replace

from bench.names import COUNT, POLICY
from tests.lab.connection import Connection
from tests.lab.lab import Lab, Served
from tests.lab.replies import GOOD, Behaviour, Request, Site
from tests.lab.synthetic import serve_synthetic


@dataclass(frozen=True, slots=True)
class Late(Behaviour):
    """Answers after so many seconds."""

    seconds: float

    def answer(self, connection: Connection, site: Site, request: Request) -> None:
        time.sleep(self.seconds)
        GOOD.answer(connection, site, request)


def delay(lab: Lab, seconds: float) -> None:
    """Make all policy hosts slow."""
    served, late = lab.https_default, Late(seconds)

    def later(sni: str) -> Served | None:
        found = served(sni) if served else None
        return replace(found, behaviour=late) if found else None

    lab.https_default = later


def main() -> None:
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # the lab's threads leave them to sigwait
    with Lab(addresses=8, keep_logs=False) as lab:
        serve_synthetic(lab, COUNT, POLICY)
        if seconds := float(sys.argv[1]):
            delay(lab, seconds)
        for name, value in lab.settings().items():
            print(f"{name}={value}")
        print(flush=True)
        signal.sigwait(stops)


if __name__ == "__main__":
    main()
