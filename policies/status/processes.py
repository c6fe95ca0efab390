"""Which processes of which machines give signs of life, and what they tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from mtastsweb.environment import IS_CHECKOUT, PROGRAM
from policies import heartbeats
from policies.models import Heartbeat
from policies.status.parts import Fact, Item, State

SILENT_AFTER = timedelta(minutes=3)
"""Workers give a sign of life each minute, the socketmap and the web every few seconds."""

GONE_AFTER = timedelta(hours=1)
"""A machine that was silent for so long, while another works, was taken out of service."""

_START = "make run" if IS_CHECKOUT else f"{PROGRAM} start"
ABSENT = {
    "worker": (
        "Refetches and refreshes wait until one works: start"
        f" `{_START}`, or `{PROGRAM} qcluster` alone."
    ),
    "socketmap": (
        "Postfix gets no answer, and defers mail where its main.cf asks us: start"
        f" `{_START}`, or `{PROGRAM} socketmap` alone."
    ),
    "web": f"Its pages do not answer: start `{_START}`, or gunicorn alone.",
}


def processes(kind: str, beats: list[Heartbeat], now: datetime) -> Iterator[Item]:
    """One part for each machine that has a process of this kind, or one that there is none."""
    mine = [beat for beat in beats if beat.kind == kind]
    works = any(now - beat.at <= SILENT_AFTER for beat in mine)
    if not mine and kind != "web":  # somebody has this page from one
        yield Item(kind.capitalize(), State.BAD, "never seen", todo=ABSENT[kind])
    for beat in mine:
        yield _process(kind, beat, now, others_work=works)


def _process(kind: str, beat: Heartbeat, now: datetime, *, others_work: bool) -> Item:
    title = f"{kind.capitalize()} on {beat.node}"
    facts = (
        Fact("Last sign of life", moment=beat.at, is_moment=True),
        *_details(beat.details if isinstance(beat.details, dict) else {}, beat.at),
    )
    silence = now - beat.at
    if silence <= SILENT_AFTER:
        return Item(title, State.OK, "at work", facts)
    if others_work and silence > GONE_AFTER:
        todo = f"Forgotten after {heartbeats.FORGOTTEN.days} days, if it does not come back."
        return Item(title, State.IDLE, "gone", facts, todo)
    return Item(title, State.BAD, "silent", facts, ABSENT[kind])


_LABELS = {
    "pid": "Process",
    "running_seconds": "Started",
    "answers": "Answers from memory",
    "misses": "Looked up",
    "not_ours": "Keys that are no domain",
    "forced": "Answers forced",
    "connections": "Connections",
    "refused_connections": "Connections refused",
    "database_away": "Database away",
    "policies": "Policies in memory",
    "has_all_policies": "All policies in memory",
    "validation": "DNSSEC",
    "waiting_lookups": "Lookups that wait",
}


def _details(details: Mapping[str, Any], at: datetime) -> Iterator[Fact]:
    """What a process tells of itself; what we have no word for keeps its own."""
    order = [key for key in _LABELS if key in details]
    order += sorted(key for key in details if key not in _LABELS)
    for key in order:
        value = details[key]
        label = _LABELS.get(key, key.replace("_", " ").capitalize())
        if key == "running_seconds" and isinstance(value, int):
            yield Fact(label, moment=at - timedelta(seconds=value), is_moment=True)
        elif isinstance(value, dict):
            parts = [f"{name}: {_said(number)}" for name, number in sorted(value.items())]
            yield Fact(label, ", ".join(parts) or "none")
        elif value != "":
            yield Fact(label, str(value) if key == "pid" else _said(value))


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)[:200]
