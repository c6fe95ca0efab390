"""What /status/ is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.core.cache import cache


class State(StrEnum):
    """How something is: the kind of its badge."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to know. Either a text, or a moment, None for one that never was."""

    label: str
    text: str = ""
    moment: datetime | None = None
    is_moment: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A part of the product. `word`: the badge's; `todo`: what to do, empty where nothing is."""

    title: str
    state: State
    word: str
    facts: tuple[Fact, ...] = ()
    todo: str = ""


def kept(key: str, seconds: int, find: Callable[[], Any]) -> Any:
    """What was found less than so many seconds ago, by whichever process."""
    known = cache.get(key)
    if known is None:
        known = find()
        cache.set(key, known, seconds)
    return known
