"""`python -m bench.refresh`: the periodic refresh, and what mail servers and pages feel of it.

Takes some ten minutes; `python -m bench.refresh 2000` a tenth of it, for a look.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.load import ask
from bench.names import cached_names
from bench.processes import ROOT, free_port
from bench.report import machine, show

POLICIES = 20_000
EVERY = 33
"""One host of so many hangs: three in a hundred."""

FETCH_TIMEOUT = "10"
DUE = 100.0
"""Policies that come due in a second, where lateness is measured."""

UP = 60.0
SECONDS = 20.0
"""For each measurement of answers."""

HITS = 500
"""Requests a second that mail servers make meanwhile."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`steady`: policies a second without start and tail. `cpu`: milliseconds for each. `late`:
    seconds that the latest healthy domain was fetched after its plan. `memory`: MiB at the most."""

    seconds: float
    steady: float
    cpu: float
    late: float
    failed: int
    memory: float


@dataclass(frozen=True, slots=True)
class Felt:
    """Milliseconds: of the list's page behind the login, and of an answer from memory."""

    page_p95: float
    answer_p99: float


@contextmanager
def _lab(every: int) -> Iterator[dict[str, str]]:
    popen = subprocess.Popen(
        [sys.executable, "-m", "bench.refresh_lab", str(every)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert popen.stdout is not None
    try:
        yield dict(line.rstrip("\n").split("=", 1) for line in iter(popen.stdout.readline, "\n"))
    finally:
        popen.terminate()
        popen.wait(30)
        popen.stdout.close()


@contextmanager
def _environ(settings: Mapping[str, str]) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as data_dir:
        environ = {
            **os.environ, **settings, "DATA_DIR": data_dir, "MTASTS_FETCH_TIMEOUT": FETCH_TIMEOUT,
            "SOCKETMAP_LISTEN": f"127.0.0.1:{free_port()}",
            "WEB_LISTEN": f"127.0.0.1:{free_port()}",
        }  # fmt: skip
        _run(environ, "manage.py", "migrate", "--verbosity", "0")
        yield environ


def _run(environ: Mapping[str, str], *command: str) -> str:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip


def refreshed(count: int, due: float, **variables: str) -> Refreshed:
    """In a process of its own, with nothing else of the product running."""
    with _lab(EVERY) as settings, _environ({**settings, **variables}) as environ:
        told = _run(environ, "-m", "bench.refreshing", str(count), str(due))
    return Refreshed(**json.loads(told))


def felt_and_memory(count: int) -> tuple[Felt, Felt, float]:
    """What others feel while nothing is due and while all is; PSS of the idle product in MiB."""
    with _lab(0) as settings, _environ({**settings, "REFRESH_RATE": "1000"}) as environ:
        _run(environ, "-m", "bench.fill", str(count))
        _run(environ, "manage.py", "shell", "--verbosity", "0", "-c", _MAKE_USER)
        product = subprocess.Popen(
            [sys.executable, "manage.py", "start"],
            cwd=ROOT, env=environ, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            pages = _logged_in(environ["WEB_LISTEN"])
            idle = _felt(environ, pages, count)
            memory = _pss(environ["DATA_DIR"])
            _run(environ, "manage.py", "shell", "--verbosity", "0", "-c", _MAKE_DUE)
            busy = _felt(environ, pages, count)
        finally:
            product.send_signal(signal.SIGTERM)
            product.wait(120)
    return idle, busy, memory


_MAKE_USER = (
    "from django.contrib.auth.models import User; User.objects.create_superuser('bench', '', 'b')"
)
_MAKE_DUE = (
    "from policies.models import PolicyRecord; from policies import queue;"
    " PolicyRecord.objects.update(refresh_due=None); queue.put_tick()"
)


def _logged_in(listen: str) -> urllib.request.OpenerDirector:
    """A browser that may see the list, once the web is up."""
    from http.cookiejar import CookieJar
    from urllib.parse import urlencode

    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    url = f"http://{listen}/accounts/login/"
    give_up = time.monotonic() + UP
    while True:
        try:
            opener.open(url, timeout=10).close()
            break
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"username": "bench", "password": "b", "csrfmiddlewaretoken": token}
    opener.open(url, urlencode(form).encode(), timeout=10).close()
    opener.addheaders = [("X-Listen", listen)]
    return opener


def _felt(environ: Mapping[str, str], pages: urllib.request.OpenerDirector, count: int) -> Felt:
    port = int(environ["SOCKETMAP_LISTEN"].rpartition(":")[2])
    names = cached_names(min(count, 1000))
    ask(port, names, connections=1, seconds=0)
    spent, end = [], time.monotonic() + SECONDS
    answers = []
    while time.monotonic() < end:
        began = time.monotonic()
        with pages.open(f"http://{environ['WEB_LISTEN']}/policies/", timeout=30) as response:
            assert b".lab.test" in response.read()
        spent.append(1000 * (time.monotonic() - began))
        answers.append(ask(port, names[:200], connections=1, seconds=0).p99 / 1000)
    return Felt(sorted(spent)[int(0.95 * len(spent))], sorted(answers)[len(answers) // 2])


def _pss(data_dir: str) -> float:
    """MiB of all processes that run in this data directory."""
    mine, total = f"DATA_DIR={data_dir}".encode(), 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mine in (process / "environ").read_bytes().split(b"\0"):
                rollup = (process / "smaps_rollup").read_text()
                total += next(
                    int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")
                )
    return total / 1024


PAGE = ROOT / "docs" / "benchmarks-refresh.md"

_INTRODUCTION = (
    "Written by `python -m bench.refresh`, with the laboratory's name server and policy hosts on"
    " the same processors. {count:,} policies, of whose hosts three in a hundred hang until"
    " `MTASTS_FETCH_TIMEOUT={timeout}`."
)


def _text(
    count: int, at_once: Refreshed, as_due: Refreshed, idle: Felt, busy: Felt, memory: float
) -> str:
    lines = [
        "# Benchmarks of the refresh",
        "",
        _INTRODUCTION.format(count=count, timeout=FETCH_TIMEOUT),
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
    ]
    for title, names, values in (
        (
            "All due at once",
            ("policies a second", "CPU ms each", "failed", "memory MiB"),
            (
                f"{at_once.steady:.0f}",
                f"{at_once.cpu:.1f}",
                f"{at_once.failed}",
                f"{at_once.memory:.0f}",
            ),
        ),
        (
            f"As they come due, {DUE:.0f} a second",
            ("latest healthy domain after its plan, s", "CPU ms each", "failed"),
            (f"{as_due.late:.0f}", f"{as_due.cpu:.1f}", f"{as_due.failed}"),
        ),
    ):
        lines += ["", f"## {title}", "", _row(names), _row(["---"] * len(names)), _row(values)]
    lines += ["", "## What others feel", "", _row(("ms", "idle", "flat out", "ratio"))]
    lines += [_row(["---"] * 4)]
    for name, quiet, loud in (
        ("the list's page, p95", idle.page_p95, busy.page_p95),
        ("an answer from memory, p99", idle.answer_p99, busy.answer_p99),
    ):
        lines += [_row((name, f"{quiet:.2f}", f"{loud:.2f}", f"{loud / quiet:.1f}"))]
    lines += ["", f"All processes of the product, idle: {memory:.0f} MiB (PSS).", ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else POLICIES
    at_once = refreshed(count, 0)
    show(f"flat out: {at_once}")
    as_due = refreshed(count, DUE, REFRESH_RATE="400")
    show(f"as it comes due: {as_due}")
    idle, busy, memory = felt_and_memory(count)
    show(f"idle: {idle}, {memory:.0f} MiB")
    show(f"while it refreshes: {busy}")
    PAGE.write_text(_text(count, at_once, as_due, idle, busy, memory))
    show(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
