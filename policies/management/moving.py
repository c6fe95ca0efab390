"""`mtasts import` and `mtasts export`, as parts of the command `mtasts` (docs/moving-in.md)."""

from __future__ import annotations

import json
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from django.contrib.admin.models import ADDITION
from django.core.management.base import CommandParser, OutputWrapper
from django.utils import timezone

from policies import audit, cache, exports
from policies.models import PolicyRecord
from policies.moving import plan as planning
from policies.moving.fetching import Progress, look_up
from policies.moving.found import Bad, Unreadable
from policies.moving.sources import SOURCES

EX_DATAERR = 65
INTERRUPTED = 130

BAD_SHOWN = 20
"""Bad lines that are told one by one; the rest is counted."""

TELL_EVERY = 5.0
"""Seconds between lines about the progress."""

RATE = 20
"""Domains looked up in a second, unless told otherwise."""


def add_import(action: CommandParser) -> None:
    """The arguments of `mtasts import`."""
    action.add_argument("source", choices=sorted(SOURCES), metavar="SOURCE",
                        help=f"one of {', '.join(sorted(SOURCES))}")  # fmt: skip
    action.add_argument("file", type=Path, metavar="FILE", help="- is standard input")
    action.add_argument("--yes", action="store_true", help="do it; else only say what it would do")
    action.add_argument("--rate", type=_rate, default=RATE, metavar="N",
                        help=f"domains looked up in a second (default {RATE})")  # fmt: skip


def add_export(action: CommandParser) -> None:
    """The arguments of `mtasts export`."""
    action.add_argument("format", choices=["json", "postfix"], metavar="FORMAT",
                        help="json: all that is cached; postfix: a texthash: table")  # fmt: skip


def run_import(
    out: OutputWrapper, err: OutputWrapper, *, source: str, file: Path, yes: bool, rate: int,
    as_json: bool,
) -> int:  # fmt: skip
    """The exit status. All of the file is read before anything is written."""
    try:
        plan = planning.make(SOURCES[source](file), timezone.now())
    except Unreadable as error:
        err.write(f"{error} Nothing was imported.")
        return EX_DATAERR
    _tell_bad(err, plan.bad)
    adopted, progress, status = 0, Progress(len(plan.fetch)), 0
    if yes:
        adopted = cache.adopt(plan.adopt)
        _log(source, plan, adopted)
        progress, status = _look_up(err, plan, rate)
    if as_json:
        out.write(json.dumps(_counts(plan, adopted, progress, done=yes)))
    else:
        out.write("\n".join(_words(plan, adopted, progress, rate, done=yes)))
    nothing = not (plan.adopt or plan.fetch or plan.known)
    return status or (EX_DATAERR if plan.bad and nothing else 0)


def run_export(out: OutputWrapper, *, format_: str) -> int:
    """Prints all of the cache, last use first."""
    records = PolicyRecord.objects.by_use()
    lines = (
        exports.json_lines(records)
        if format_ == "json"
        else exports.postfix_map(records, timezone.now())
    )
    for line in lines:
        out.write(line, ending="")
    return 0


def _log(source: str, plan: planning.Plan, adopted: int) -> None:
    """Once and before the look-ups, which may take hours and be interrupted."""
    if adopted or plan.fetch:
        says = f"Imported from {source}; {len(plan.fetch):,} domains are looked up."
        audit.log_about(None, PolicyRecord, f"{adopted:,} policies", ADDITION, says)


def _look_up(err: OutputWrapper, plan: planning.Plan, rate: int) -> tuple[Progress, int]:
    """How far it came, and the exit status."""
    began = told = time.monotonic()
    latest = Progress(len(plan.fetch))

    def tell(progress: Progress) -> None:
        nonlocal latest, told
        latest = progress
        now = time.monotonic()
        if now - told >= TELL_EVERY:
            told = now
            left = timedelta(
                seconds=int((now - began) / progress.done * (progress.total - progress.done))
            )
            err.write(f"{progress.done:,} of {progress.total:,} looked up, {left} left")

    try:
        return look_up(plan.fetch, rate, tell), 0
    except KeyboardInterrupt:
        err.write("Interrupted. The same command again takes up where it ended.")
        return latest, INTERRUPTED


def _tell_bad(err: OutputWrapper, bad: Sequence[Bad]) -> None:
    for each in bad[:BAD_SHOWN]:
        err.write(f"Left out: {each}")
    more = len(bad) - BAD_SHOWN
    if more > 0:
        err.write(f"… and {more:,} more were left out.")


def _counts(
    plan: planning.Plan, adopted: int, progress: Progress, *, done: bool
) -> dict[str, int | bool]:
    return {
        "done": done,
        "policies_held": len(plan.adopt),
        "domains_to_look_up": len(plan.fetch),
        "known": plan.known,
        "left_out": len(plan.bad),
        "imported": adopted,
        "looked_up": progress.done,
        "found": progress.policies,
        "without": progress.without,
        "failed": progress.failed,
    }


def _words(
    plan: planning.Plan, adopted: int, progress: Progress, rate: int, *, done: bool
) -> Iterator[str]:
    if done:
        yield f"Imported {adopted:,} policies; they are fetched anew within a day."
        yield (
            f"Looked up {progress.done:,} domains: {progress.policies:,} have a policy,"
            f" {progress.without:,} have none, {progress.failed:,} failed."
        )
    else:
        yield f"Would import {len(plan.adopt):,} policies, and fetch them anew within a day."
        takes = timedelta(seconds=len(plan.fetch) // rate)
        yield f"Would look up {len(plan.fetch):,} domains, {rate} a second: {takes} or longer."
    yield f"{plan.known:,} domains are cached already; {len(plan.bad):,} entries were left out."
    if not done:
        yield "Nothing was changed. Do it with --yes."


def _rate(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number from 1 to 9999")
    return int(text)
