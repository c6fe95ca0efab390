"""Looks many domains up, as a mail server's first mail would, but at a bounded rate and uncounted.

No use is noted: nobody has sent mail. What is cached meanwhile costs a DNS query, so an import that
was interrupted can simply be run again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error, connection

from policies import cache, world

if TYPE_CHECKING:
    from policies.mtasts import Domain

log = logging.getLogger(__name__)

THREADS = 8


@dataclass(slots=True)
class Progress:
    """How far it is. `failed`: a record without a policy that could be had, or no answer."""

    total: int
    policies: int = 0
    without: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.policies + self.without + self.failed


def look_up(
    domains: Sequence[Domain], rate: int, tell: Callable[[Progress], None] = lambda _: None
) -> Progress:
    """Look all of them up, at most `rate` a second; `tell` is called as they end.

    An exception in `tell`, and Ctrl-C, ends it after what is under way.
    """
    progress = Progress(len(domains))
    # No address gets more connections than the refresh would make to it.
    threads = min(THREADS, settings.MTASTS.max_per_address or THREADS)
    with ThreadPoolExecutor(threads, thread_name_prefix="import") as pool:
        waiting: set[Future[str]] = set()
        for domain in _paced(domains, rate):
            waiting.add(pool.submit(_look_up, domain))
            if len(waiting) >= threads:
                waiting = _collect(waiting, progress, tell)
        while waiting:
            waiting = _collect(waiting, progress, tell)
    return progress


def _paced(domains: Sequence[Domain], rate: int) -> Iterator[Domain]:
    """The domains, each not before its time."""
    began = time.monotonic()
    for number, domain in enumerate(domains):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        yield domain


def _collect(
    waiting: set[Future[str]], progress: Progress, tell: Callable[[Progress], None]
) -> set[Future[str]]:
    ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
    for future in ended:
        name = future.result()
        setattr(progress, name, getattr(progress, name) + 1)
    tell(progress)
    return waiting


def _look_up(domain: Domain) -> str:
    """Which count of `Progress` it belongs to."""
    try:
        answer = cache.consult(domain, world.default()).answer
    except Error:
        log.exception("not looked up", extra={"domain": domain.ascii})
        return "failed"
    finally:
        connection.close()  # this thread's own
    if answer.policy is not None:
        return "policies"
    return "failed" if answer.failure or answer.error else "without"
