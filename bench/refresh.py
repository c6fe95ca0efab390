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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.load import Load, ask
from bench.names import cached_names
from bench.processes import ROOT, free_port
from bench.refreshing import AMONG
from bench.report import machine, show

POLICIES = 20_000
EVERY = 33
"""One host of so many hangs: three in a hundred."""

FETCH_TIMEOUT = "10"
DUE = 100.0
"""Policies that come due in a second, where lateness is measured."""

UP, SETTLED = 60.0, 10.0
SECONDS = 30.0
"""For each measurement of answers at the most: a tick takes on work for fifty."""

HITS = 500
"""Requests a second that mail servers make meanwhile."""

CONNECTIONS = 16
"""Of mail servers. None waits for another's answer unless all of them do."""

PAGES = 4
"""Pages a second that operators look at meanwhile."""

PERCENTILES = ("p50", "p95", "p99")

STEADY, CPU, LATE, RATIO = 120.0, 7.0, 60.0, 3.0
"""The bars: policies a second at least; at the most milliseconds for each, seconds after the plan,
and times as long while it refreshes as idle."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`steady`: policies a second without start and tail. `cpu`: milliseconds for each. `memory`:
    MiB at the most.

    As they come due: `late`: seconds that the latest healthy domain was fetched after its plan;
    `missed`: healthy domains that were not fetched. `changed`: seconds after its plan that the
    policy of the domain that changed it was seen; `right`: whether all that is stored says so.
    """

    seconds: float
    steady: float
    cpu: float
    failed: int
    memory: float
    late: float = 0.0
    missed: int = 0
    changed: float = 0.0
    right: bool = True


@dataclass(frozen=True, slots=True)
class Felt:
    """Milliseconds by percentile: of the list's page behind the login, and of an answer from
    memory."""

    page: Mapping[str, float]
    answer: Mapping[str, float]


@contextmanager
def _lab(every: int) -> Iterator[tuple[dict[str, str], IO[str]]]:
    """The settings for it, and where to write the names of domains that are to change."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "bench.refresh_lab", str(every)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert popen.stdout is not None
    assert popen.stdin is not None
    try:
        lines = iter(popen.stdout.readline, "\n")
        yield dict(line.rstrip("\n").split("=", 1) for line in lines), popen.stdin
    finally:
        popen.terminate()
        popen.wait(30)
        popen.stdin.close()
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
    with (
        _lab(EVERY) as (settings, changing),
        _environ({**settings, **variables}) as environ,
        subprocess.Popen(
            [sys.executable, "-m", "bench.refreshing", str(count), str(due), str(EVERY)],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True,
        ) as popen,
    ):  # fmt: skip
        assert popen.stdout is not None
        told = ""
        for line in popen.stdout:
            if line.startswith("change "):
                changing.write(line.removeprefix("change "))
                changing.flush()
            else:
                told += line
        if popen.wait():
            raise subprocess.CalledProcessError(popen.returncode, popen.args)
    return Refreshed(**json.loads(told))


def felt_and_memory(count: int) -> tuple[Felt, Felt, float]:
    """What others feel while nothing is due and while all is; PSS of the idle product in MiB."""
    # Not longer than the refresh takes, at some 400 a second.
    seconds = min(SECONDS, count / 400)
    with _lab(0) as (settings, _), _environ({**settings, "REFRESH_RATE": "1000"}) as environ:
        _run(environ, "-m", "bench.fill", str(count))
        _shell(environ, _MAKE_USER)
        product = subprocess.Popen(
            [sys.executable, "manage.py", "start"],
            cwd=ROOT, env=environ, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            pages = _logged_in(environ["WEB_LISTEN"])
            time.sleep(SETTLED)
            memory = _pss(environ["DATA_DIR"])
            idle = _felt(environ, pages, count, seconds)
            _shell(environ, _MAKE_DUE)
            busy = _felt(environ, pages, count, seconds)
            if not int(_shell(environ, _STILL_DUE)):
                show("The refresh was over before the measurement: take more policies.")
        finally:
            product.send_signal(signal.SIGTERM)
            product.wait(120)
    return idle, busy, memory


def _shell(environ: Mapping[str, str], code: str) -> str:
    return _run(environ, "manage.py", "shell", "--verbosity", "0", "-c", code)


_MAKE_USER = (
    "from django.contrib.auth.models import User; User.objects.create_superuser('bench', '', 'b')"
)
_MAKE_DUE = """
import time
from policies import queue
from policies.models import Fetch, PolicyRecord
PolicyRecord.objects.update(refresh_due=None)
queue.put_tick()
while not Fetch.objects.exists():
    time.sleep(0.1)
"""
"""Returns once the first of them are refreshed."""

_STILL_DUE = (
    "from policies.models import PolicyRecord;"
    " print(PolicyRecord.objects.filter(refresh_due=None).count())"
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


def _felt(
    environ: Mapping[str, str], pages: urllib.request.OpenerDirector, count: int, seconds: float
) -> Felt:
    """Mail servers ask and operators look at the same time, at a steady rate, idle and busy."""
    port = int(environ["SOCKETMAP_LISTEN"].rpartition(":")[2])
    names = cached_names(min(count, 1000))
    # So that each is in memory; the laboratory's records live for five minutes.
    ask(port, names, connections=CONNECTIONS, seconds=0)
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask, port, names, connections=CONNECTIONS, seconds=seconds, rate=HITS)
        spent = _looked_at(environ, pages, seconds)
        load = asked.result()
    return Felt(
        {name: spent[int(float(name[1:]) / 100 * len(spent))] for name in PERCENTILES},
        _answers(load),
    )


def _looked_at(
    environ: Mapping[str, str], pages: urllib.request.OpenerDirector, seconds: float
) -> list[float]:
    """Milliseconds for each page, sorted. One that is late because the one before it took long
    counts from when it was to be asked for."""
    spent, began = [], time.monotonic()
    for number in range(int(seconds * PAGES)):
        due = began + number / PAGES
        time.sleep(max(0.0, due - time.monotonic()))
        with pages.open(f"http://{environ['WEB_LISTEN']}/policies/", timeout=30) as response:
            assert b".lab.test" in response.read()
        spent.append(1000 * (time.monotonic() - due))
    return sorted(spent)


def _answers(load: Load) -> dict[str, float]:
    return {name: getattr(load, name) / 1000 for name in PERCENTILES}


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
    " `MTASTS_FETCH_TIMEOUT={timeout}`. “Over” is said of what misses its bar."
)


def _over(is_over: bool) -> str:
    return " – over" if is_over else ""


def _flat_out(it: Refreshed) -> list[tuple[str, str]]:
    return [
        (f"policies a second, ≥ {STEADY:.0f}", f"{it.steady:.0f}{_over(it.steady < STEADY)}"),
        (f"CPU ms each, ≤ {CPU:.0f}", f"{it.cpu:.1f}{_over(it.cpu > CPU)}"),
        ("failed", f"{it.failed}"),
        ("memory, MiB", f"{it.memory:.0f}"),
    ]


def _as_due(it: Refreshed) -> list[tuple[str, str]]:
    is_late = it.changed > LATE or not it.right
    return [
        (
            f"latest healthy domain after its plan, s, ≤ {LATE:.0f}",
            f"{it.late:.0f}{_over(it.late > LATE)}",
        ),
        ("healthy domains not fetched, none", f"{it.missed}{_over(it.missed > 0)}"),
        (
            f"the one that changed its policy: seen after its plan, s, ≤ {LATE:.0f}",
            f"{it.changed:.1f}{_over(is_late)}",
        ),
        ("its text, id and history", "right" if it.right else "wrong – over"),
        ("failed", f"{it.failed}"),
    ]


def _ratios(idle: Felt, busy: Felt) -> list[tuple[str, ...]]:
    """Rows of what others feel; p95 of pages and p99 of answers have a bar."""
    return [
        (
            f"{what}, {name}{f', ≤ {RATIO:.0f} ×' if name == judged else ''}",
            f"{quiet[name]:.2f}",
            f"{loud[name]:.2f}",
            f"{(ratio := loud[name] / quiet[name]):.1f}{_over(name == judged and ratio > RATIO)}",
        )
        for what, judged, quiet, loud in (
            ("the list's page", "p95", idle.page, busy.page),
            ("an answer from memory", "p99", idle.answer, busy.answer),
        )
        for name in PERCENTILES
    ]


def _text(
    count: int, at_once: Refreshed, as_due: Refreshed, idle: Felt, busy: Felt, memory: float
) -> str:
    return "\n".join(
        [
            "# Benchmarks of the refresh",
            "",
            _INTRODUCTION.format(count=count, timeout=FETCH_TIMEOUT),
            "",
            *(f"- {name}: {value}" for name, value in machine().items()),
            *_table("All due at once", ("", "measured"), _flat_out(at_once)),
            *_table(
                f"As they come due, {DUE:.0f} a second, among {AMONG * count:,}",
                ("", "measured"),
                _as_due(as_due),
            ),
            *_table("What others feel", ("ms", "idle", "flat out", "ratio"), _ratios(idle, busy)),
            "",
            f"{HITS} answers a second on {CONNECTIONS} connections, and {PAGES} pages a second.",
            f"All processes of the product, idle: {memory:.0f} MiB (PSS).",
            "",
        ]
    )


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["", f"## {title}", "", *map(_row, (head, ["---"] * len(head), *rows))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else POLICIES
    at_once = refreshed(count, 0)
    _show("flat out", _flat_out(at_once))
    as_due = refreshed(count, DUE, REFRESH_RATE="400")
    _show("as it comes due", _as_due(as_due))
    idle, busy, memory = felt_and_memory(count)
    _show("idle, while it refreshes, and the ratio", _ratios(idle, busy))
    show(f"memory idle: {memory:.0f} MiB")
    PAGE.write_text(_text(count, at_once, as_due, idle, busy, memory))
    show(f"Written: {PAGE}")


def _show(title: str, rows: Sequence[Sequence[str]]) -> None:
    for name, *values in rows:
        show(f"{title}: {name}: {', '.join(values)}")


if __name__ == "__main__":
    main()
