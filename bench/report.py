"""What was measured, as JSON and as a page of the documentation."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.measures import Footprint, Hits, Misses
from bench.processes import ROOT

PACKAGES = ("Django", "uvloop", "dnspython", "requests")


def machine() -> dict[str, str]:
    """Where and with what it was measured."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} × {cpu}, load {os.getloadavg()[0]:.1f} at the end",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": packages,
    }


def write(
    hits: Sequence[Hits], misses: Sequence[Misses], footprints: Sequence[Footprint]
) -> tuple[Path, Path]:
    """The files written."""
    about = machine()
    results = {
        "about": about,
        "hits": [asdict(each) for each in hits],
        "misses": [asdict(each) for each in misses],
        "footprints": [asdict(each) for each in footprints],
    }
    folder = ROOT / "bench" / "results"
    folder.mkdir(exist_ok=True)
    data = folder / f"{datetime.now(UTC):%Y-%m-%dT%H%M}.json"
    data.write_text(json.dumps(results, indent=1) + "\n")
    page = ROOT / "docs" / "benchmarks.md"
    page.write_text(_page(about, hits, misses, footprints))
    return data, page


_INTRODUCTION = (
    "Written by `make bench`, with the load generator on the same machine. Single figures drift"
    " with whatever else a machine does; shares of the bare server, measured in turn with ours,"
    " hold. The bare server answers from a dict and does nothing else: it is what Python and"
    " uvloop can do."
)
_NEVER_SEEN = (
    "DNS and HTTPS by the laboratory, in another process; 64 connections. Alone: the same names"
    " with requests and dnspython in 64 threads, which decide, store and answer nothing."
)


def _page(
    about: dict[str, str],
    hits: Sequence[Hits],
    misses: Sequence[Misses],
    footprints: Sequence[Footprint],
) -> str:
    return "\n".join(
        [
            "# Benchmarks",
            "",
            _INTRODUCTION,
            "",
            *(f"- {name}: {value}" for name, value in about.items()),
            "",
            "## Answers from memory",
            "",
            "| connections | map | answers/s | bare server | share | p50 µs | p99 µs | bare p99 |",
            "|---|---|---|---|---|---|---|---|",
            *(
                f"| {each.connections} | `{each.map_name}` | {each.rate:,.0f} |"
                f" {each.bare_rate:,.0f} | {each.share:.2f} | {each.p50:,.0f} | {each.p99:,.0f} |"
                f" {each.bare_p99:,.0f} |"
                for each in hits
            ),
            "",
            "## Names never seen",
            "",
            _NEVER_SEEN,
            "",
            "| hosts take | answers/s | CPU ms | alone /s | CPU ms | share | p50 ms | p99 ms |",
            "|---|---|---|---|---|---|---|---|",
            *(
                f"| {each.delay * 1000:.0f} ms | {each.rate:,.0f} | {each.cpu:.1f} |"
                f" {each.alone_rate:,.0f} | {each.alone_cpu:.1f} |"
                f" {each.rate / each.alone_rate:.2f} |"
                f" {each.p50 / 1000:,.0f} | {each.p99 / 1000:,.0f} |"
                for each in misses
            ),
            "",
            "## Memory, and the start",
            "",
            "| policies | MiB loaded | MiB once all were asked for | start to first answer |",
            "|---|---|---|---|",
            *(
                f"| {each.policies:,} | {each.loaded:.0f} | {each.asked:.0f} |"
                f" {each.started:.2f} s |"
                for each in footprints
            ),
            "",
        ]
    )


def show(line: str) -> None:
    """On the terminal, while it goes on."""
    print(line, file=sys.stderr, flush=True)
