"""`python -m tests.lab`: the laboratory as a process of its own, until it is told to stop.

Prints the project's settings for it as NAME=VALUE lines, and then an empty line.
"""

from __future__ import annotations

import argparse
import signal

from tests.lab.lab import Lab
from tests.lab.synthetic import SUFFIX, serve_synthetic

POLICY = f"version: STSv1\nmode: enforce\nmx: mx.{SUFFIX}\nmax_age: 604800\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--domains", type=int, default=1000, help="serve d0.lab.test and so on")
    parser.add_argument("--addresses", type=int, default=1, help="addresses of the policy host")
    options = parser.parse_args()
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # the lab's threads leave them to sigwait
    with Lab(addresses=options.addresses, keep_logs=False) as lab:
        serve_synthetic(lab, options.domains, POLICY)
        for name, value in lab.settings().items():
            print(f"{name}={value}")
        print(flush=True)
        signal.sigwait(stops)


if __name__ == "__main__":
    main()
