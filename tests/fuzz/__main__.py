"""`python -m tests.fuzz [TARGET…]`: hostile input for as long as FUZZ_SECONDS says (600).

With `--atheris TARGET` coverage leads the way, until Ctrl-C; other options go to libFuzzer, such as
`-max_total_time=60`. `pip install atheris` brings it, which nothing else here needs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path

ROUND = 1000
"""Inputs between looks at the clock."""


def main(arguments: Sequence[str]) -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    with _instrumented() if "--atheris" in arguments else nullcontext():
        import django

        django.setup()
        from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--atheris", action="store_true", help="led by coverage; one target")
    own, rest = parser.parse_known_args(arguments)
    chosen = own.targets or list(TARGETS)
    if unknown := set(chosen) - set(TARGETS):
        parser.error(f"no target: {', '.join(sorted(unknown))}")
    if own.atheris:
        if len(chosen) != 1:
            parser.error("--atheris wants one target")
        _led_by_coverage(chosen[0], rest)
        return 0
    return _by_hypothesis(chosen, float(os.environ.get("FUZZ_SECONDS", "600")))


def _by_hypothesis(names: Sequence[str], seconds: float) -> int:
    """Each target for its share of the time. Exit status 1 where one broke."""
    from hypothesis import HealthCheck, given, settings

    from tests.fuzz.inputs import INPUTS
    from tests.fuzz.targets import TARGETS

    broken = []
    for name in names:
        tried, end = 0, time.monotonic() + seconds / len(names)
        limits = settings(
            max_examples=ROUND, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        some = limits(given(data=INPUTS)(TARGETS[name]))
        try:
            while time.monotonic() < end:
                some()
                tried += ROUND
        except Exception as error:  # noqa: BLE001 - a finding, whatever it is
            broken.append(name)
            print(f"{name}: {error!r}", *getattr(error, "__notes__", ()), sep="\n  ")
        print(f"{name}: {tried} inputs{', and a finding' if name in broken else ''}", flush=True)
    return bool(broken)


def _instrumented() -> AbstractContextManager[None]:
    """What is imported meanwhile tells of its branches, if it is ours: others' lead nowhere."""
    if not find_spec("atheris"):
        sys.exit("--atheris wants atheris: pip install atheris")
    import atheris

    instrumented: AbstractContextManager[None] = atheris.instrument_imports(include=["policies"])
    return instrumented


def _led_by_coverage(name: str, arguments: Sequence[str]) -> None:
    import atheris

    from tests.fuzz.targets import SEEDS, TARGETS

    corpus = tempfile.mkdtemp(prefix=f"fuzz-{name}-")
    for number, seed in enumerate(SEEDS):
        Path(corpus, str(number)).write_bytes(seed)
    print(f"{name}: inputs that led further are kept in {corpus}", flush=True)
    arguments = [*arguments, corpus]
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
