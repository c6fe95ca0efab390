"""Turns: of many threads that look domains up, one at a time computes.

Python runs one thread at a time anyway. But whoever waits for the interpreter wakes up at every
switch interval to ask for it: a hundred threads that do so spend more on waiting than on work, and
a thread that answers mail servers from memory competes with all of them. Who waits for a lock
sleeps. So lookups take turns, and give them back while they wait for the network or the database.

A turn is a courtesy and no guarantee: who has waited for `PATIENCE` goes on without one, so
nothing is ever locked up by it, and a thread that takes part in nothing loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 0.25
"""Seconds after which a thread goes on without a turn."""

_turn = threading.Lock()
_here = threading.local()


@contextmanager
def taking_turns() -> Iterator[None]:
    """This thread computes in turn with the others that do so, inside the block."""
    _here.takes_part = True
    _take()
    try:
        yield
    finally:
        _give()
        _here.takes_part = False


@contextmanager
def waiting() -> Iterator[None]:
    """This thread waits for something else inside the block; others have their turn meanwhile."""
    if not getattr(_here, "takes_part", False):
        yield
        return
    _give()
    _here.takes_part = False  # a wait inside this one changes nothing
    try:
        yield
    finally:
        _here.takes_part = True
        _take()


def _take() -> None:
    _here.has_turn = _turn.acquire(timeout=PATIENCE)


def _give() -> None:
    if _here.has_turn:
        _here.has_turn = False
        _turn.release()
