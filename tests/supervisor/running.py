"""A supervisor as a process of its own, with small children, for tests to kill.

Run as `python -m tests.supervisor.running RUN_DIR CHILD…`; each CHILD is `name=stage=code`, where
code is Python, run by a new interpreter, or by a fork where FORKED is set. One named "sick" is
never healthy, one named "slow" has a minute to stop. Prints
"up" when all children run, and logs to standard error.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from policies.supervisor.backoff import Backoff
from policies.supervisor.child import ChildSpec
from policies.supervisor.supervisor import AlreadyRunning, Supervisor, exclusive


def _forked(code: str) -> Callable[[], None]:
    return lambda: exec(code, {"__name__": "__main__"})


def _spec(argument: str) -> ChildSpec:
    name, stage, code = argument.split("=", 2)
    return ChildSpec(
        name=name,
        run=_forked(code) if "FORKED" in os.environ else (sys.executable, "-c", code),
        stage=int(stage),
        stop_seconds=60.0 if name == "slow" else 0.3,
        is_healthy=lambda: name != "sick",
        watch_after=0.0,
        backoff=lambda: Backoff(first=0.01, most=0.02),
    )


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    run_dir = Path(sys.argv[1])
    specs = [_spec(argument) for argument in sys.argv[2:]]
    supervisor = Supervisor(
        specs,
        run_dir,
        os.environ,
        on_up=lambda: print("up", flush=True),
        same_request=0.0,
    )
    try:
        with exclusive(run_dir, patience=0.3):
            supervisor.run()
    except AlreadyRunning as error:
        sys.exit(f"already running: {error}")


if __name__ == "__main__":
    main()
