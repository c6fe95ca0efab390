"""`python -m bench.refresh_lab EVERY`: the laboratory, where each EVERYth policy host hangs.

0: none does. Prints the product's settings for it as NAME=VALUE lines, and then an empty line.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace

from bench.names import COUNT, POLICY
from tests.lab.lab import Lab, Served
from tests.lab.replies import Silence
from tests.lab.synthetic import serve_synthetic


def hang(lab: Lab, every: int) -> None:
    """Have each so-manyth policy host take connections and say nothing."""
    served, silent = lab.https_default, Silence("accept")

    def some_hang(sni: str) -> Served | None:
        found = served(sni) if served else None
        number = int(sni.split(".")[1][1:])  # mta-sts.d7.lab.test
        return replace(found, behaviour=silent) if found and number % every == 0 else found

    lab.https_default = some_hang


def main() -> None:
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # the lab's threads leave them to sigwait
    with Lab(addresses=8, keep_logs=False) as lab:
        serve_synthetic(lab, COUNT, POLICY)
        if every := int(sys.argv[1]):
            hang(lab, every)
        for name, value in lab.settings().items():
            print(f"{name}={value}")
        print(flush=True)
        signal.sigwait(stops)


if __name__ == "__main__":
    main()
