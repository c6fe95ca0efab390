"""Take over what dead processes held, at once: claims, leases, tasks, rounds.

Without it each would lapse by its time, the longest after a quarter of an hour; that is left for
what nobody can know to be dead, such as another machine.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, transaction

from policies import claiming, holders, jobs, leases, queue

log = logging.getLogger(__name__)


def settle() -> None:
    """Take over from dead runs of the worker. Where the database is away, the next tick does."""
    names = holders.dead()
    if not names:
        return
    try:
        for name in names:
            _take_over(name)
        queue.put_tick()
    except DatabaseError:
        log.exception("not taken over yet", extra={"holders": len(names)})
        return
    holders.forget(names)


def _take_over(name: str) -> None:
    with transaction.atomic():  # who takes over can be killed as well
        claims = claiming.release(name)
        freed = leases.release(name)
        rounds = jobs.end_rounds(freed)
        tasks = queue.give_back(freed)
    log.info(
        "took over from the dead",
        extra={"claims": claims, "leases": len(freed), "rounds": rounds, "tasks": tasks},
    )
