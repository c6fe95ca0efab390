"""Who goes first where all want the processor."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")


def give_way(nice: int) -> None:
    """Have the processes of this session yield by so much, to those of other sessions as well.

    Outside of control groups Linux shares the processor out among sessions: niceness counts within
    one only, and each has a niceness of its own (sched(7), "The autogroup feature"). Where neither
    may be set, as in some sandboxes, all stays as it is.
    """
    with suppress(OSError):
        os.nice(nice)
    with suppress(OSError):
        _AUTOGROUP.write_text(str(nice), encoding="ascii")
