"""`python -m bench.pages [COUNT]`: the pages with so many policies and fetches, and with 1,000.

On SQLite and, where BENCH_DATABASE_URL names a PostgreSQL server whose user may create databases,
there as well; and the parts of a tick with nothing due. A hundred thousand rows, which is the
default, take some minutes; a million, as `make bench` has it, a quarter of an hour, most of it to
store them. With BENCH_KEEP, a directory, the databases stay, in it and on
the server, and are measured again the next time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.pagetimes import IN_ORDER, TICK
from bench.processes import ROOT
from bench.report import machine, show

COUNT = 100_000
FEW = 1_000

RUNS = 2
"""How often each database is measured, in turn. The best run counts: other work on the machine can
only make one worse."""

LIMIT, PART_LIMIT = 40.0, 150.0
"""Milliseconds. A part of a name may take SQLite longer, which reads all names for one that is
rare."""

TICK_LIMIT = 20.0
"""Milliseconds, for all parts of a tick with nothing due."""

RATIO = 1.5
"""Of the same page with 1,000 rows or, where that has no fifty rows to show, of the whole list."""

INTRODUCTION = (
    "Written by `python -m bench.pages {count}`: what the server takes for a page with {few:,}"
    " policies and fetches and with {count:,}, in milliseconds, middleware and templates included."
    " A page is to take {limit:.0f} ms at most, and {ratio} times as long as with {few:,} rows,"
    " where those fill a page; {part:.0f} ms where SQLite looks for a part of a name. Of all"
    " filters in all orders the slowest is shown, which has no bar. A tick with nothing due is to"
    " take {tick:.0f} ms for all of it. “Over” is said of what misses its bar."
)

PAGE = ROOT / "docs" / "benchmarks-pages.md"

ALL_PARTS = f"{TICK}all of these"


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of a page with few rows and with many. `ratio`: see RATIO."""

    name: str
    few: float
    many: float
    ratio: float


def measured(settings: dict[str, str], count: int) -> list[Timed]:
    """All pages on one kind of database, the parts of a tick, and the sum of those."""
    with _filled(settings, FEW) as few, _filled(settings, count) as many:
        runs = [(_times(few), _times(many)) for _ in range(RUNS)]
    names = runs[0][0]
    best = {name: tuple(min(run[at][name] for run in runs) for at in (0, 1)) for name in names}
    slowest = max(
        (name for name in names if name.startswith(IN_ORDER)), key=lambda name: best[name][1]
    )
    best = {name: best[name] for name in names if name == slowest or not name.startswith(IN_ORDER)}
    parts = [times for name, times in best.items() if name.startswith(TICK)]
    best[ALL_PARTS] = tuple(sum(times[at] for times in parts) for at in (0, 1))
    return [
        Timed(name, least, most, most / max(least, best["all"][0] if _is_list(name) else 0))
        for name, (least, most) in best.items()
    ]


def _is_over(row: Timed, vendor: str) -> bool:
    if row.name == ALL_PARTS:
        return row.many > TICK_LIMIT
    if row.name.startswith((TICK, IN_ORDER)):
        return False
    if row.name.startswith("part"):
        return row.many > (PART_LIMIT if vendor == "SQLite" else LIMIT)
    return row.many > LIMIT or row.ratio > RATIO


def _is_list(name: str) -> bool:
    return not name.startswith(("=", "row", "policy", "feed: one", TICK))


@contextmanager
def _filled(settings: dict[str, str], count: int) -> Iterator[dict[str, str]]:
    """The environment of a database with so many rows."""
    with _directory(settings, count) as data_dir, _database(settings, count) as url:
        environ = {**os.environ, **url, "DATA_DIR": data_dir, "ALLOWED_HOSTS": "testserver"}
        _run(environ, "manage.py", "migrate", "--verbosity", "0")
        if not _rows(environ):
            _run(environ, "-m", "bench.rows", str(count))
        yield environ


def _rows(environ: dict[str, str]) -> int:
    """How many policies, fetches, versions and exceptions are stored already, of what is least."""
    code = (
        "from policies.models import Fetch, PolicyException, PolicyRecord, PolicyVersion;"
        "stored = PolicyRecord, Fetch, PolicyVersion, PolicyException;"
        "print(min(each.objects.count() for each in stored))"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", code]
    run = subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE)
    return int(run.stdout)


@contextmanager
def _directory(settings: dict[str, str], count: int) -> Iterator[str]:
    """The data directory: one that ends with the measurement, or one in BENCH_KEEP."""
    if keep := os.environ.get("BENCH_KEEP"):
        vendor = "postgresql" if "DATABASE_URL" in settings else "sqlite"
        path = Path(keep) / f"{vendor}-{count}"
        path.mkdir(parents=True, exist_ok=True)
        yield str(path.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as data_dir:
        yield data_dir


@contextmanager
def _database(settings: dict[str, str], count: int) -> Iterator[dict[str, str]]:
    """A PostgreSQL database of its own where a server is named, else none."""
    if not (server := settings.get("DATABASE_URL")):
        yield {}
        return
    import psycopg
    from psycopg.sql import SQL, Identifier

    keep = os.environ.get("BENCH_KEEP")
    name = f"bench_{count}" if keep else f"bench_{os.getpid()}_{os.urandom(3).hex()}"
    with psycopg.connect(server, autocommit=True) as admin:
        known = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not known:
            admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            url = urlsplit(server)._replace(path=f"/{name}").geturl()
            yield {"DATABASE_URL": url, "SECRET_KEY": "bench"}
        finally:
            if not keep:
                admin.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


def _times(environ: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.pagetimes"]
    run = subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE)
    times: dict[str, float] = json.loads(run.stdout)
    return times


def _run(environ: dict[str, str], *command: str) -> None:
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environ, check=True)


def _over(row: Timed, vendor: str) -> str:
    return " – over" if _is_over(row, vendor) else ""


def _text(results: dict[str, list[Timed]], count: int) -> str:
    lines = [
        "# Benchmarks of the pages",
        "",
        INTRODUCTION.format(
            count=count, few=FEW, limit=LIMIT, part=PART_LIMIT, ratio=RATIO, tick=TICK_LIMIT
        ),
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
    ]
    for vendor, rows in results.items():
        lines += [
            "",
            f"## {vendor}",
            "",
            f"| page | {FEW:,} | {count:,} | ratio |",
            "|---|---|---|---|",
            *(
                f"| {row.name} | {row.few:.1f} | {row.many:.1f} |"
                f" {row.ratio:.2f}{_over(row, vendor)} |"
                for row in rows
            ),
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    results = {"SQLite": measured({}, count)}
    if server := os.environ.get("BENCH_DATABASE_URL"):
        results["PostgreSQL"] = measured({"DATABASE_URL": server}, count)
    for vendor, rows in results.items():
        for row in rows:
            show(f"{vendor}: {row}{_over(row, vendor)}")
    PAGE.write_text(_text(results, count))
    show(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
