"""`python -m tests.demo`: the product, its laboratory, and mail servers that ask, until Ctrl-C.

Everything is in `data/demo` and begins anew each time. The demonstration's mail servers ask in
this process; the product's own web server, workers and socketmap run as `manage.py start`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

from tests.lab.lab import Lab

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "data" / "demo"
USER, PASSWORD = "demo", "demo"
EVERY = 2.0
"""Seconds between two lookups."""

CHANGE_EVERY = 60
"""Lookups between two changes."""


def main() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    stop = threading.Event()
    with Lab(addresses=8, keep_logs=False) as lab:
        os.environ.update(
            lab.settings()
            | {"DATA_DIR": str(DATA), "MTASTS_FETCH_TIMEOUT": "10"}
            | {"DJANGO_SETTINGS_MODULE": "mtastsweb.settings"}
        )
        _prepare(lab)
        product = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "start"])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        print(f"\nThe demonstration's login: {USER}, password {PASSWORD}\n", flush=True)
        _live(lab, product, stop)
        product.terminate()
        sys.exit(product.wait())


def _prepare(lab: Lab) -> None:
    """Tables, a login, and a past: what mail servers asked days ago, and what befell it since."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from policies import cache, world
    from tests.demo import domains

    call_command("migrate", verbosity=0)
    User.objects.create_superuser(USER, password=PASSWORD)
    domains.publish(lab)
    outside = world.default()
    for demo in domains.DOMAINS:
        if demo.ago is not None:
            cache.get(demo.name, outside=_past(outside, demo.ago))
        if demo.then is not None:
            demo.then(lab[demo.name])


def _past(outside: object, ago: timedelta) -> object:
    import dataclasses

    now = outside.now  # type: ignore[attr-defined]
    return dataclasses.replace(outside, now=lambda: now() - ago)  # type: ignore[type-var]


def _live(lab: Lab, product: subprocess.Popen[bytes], stop: threading.Event) -> None:
    """All domains once, then one now and then, some more often than others."""
    from policies import cache
    from tests.demo.domains import DOMAINS

    names = [demo.name for demo in DOMAINS]
    weights = [1 / (place + 1) for place in range(len(names))]
    asked = 0
    todo = list(names)
    while not stop.is_set() and product.poll() is None:
        name = todo.pop(0) if todo else random.choices(names, weights)[0]
        try:
            cache.get(name)
        except cache.TransientError as error:
            print(f"{name}: {error}", flush=True)
        asked += 1
        if asked % CHANGE_EVERY == 0:
            for demo in DOMAINS:
                if demo.later is not None:
                    demo.later(lab[demo.name])
        stop.wait(0.1 if todo else EVERY)


if __name__ == "__main__":
    main()
