"""Checks under way: begun by an operator, worked by a thread, kept for ten minutes.

They live in Django's cache, which the web server's processes share, and stand nowhere else. A
thread of the web process does the work, so that a check says what this very machine sees, with or
without a worker.
"""

from __future__ import annotations

import contextvars
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from policies import check
from policies.check import Kept, Tools
from policies.check.findings import Finding, Report, Stage
from policies.mtasts import Domain, parse_domain

KEPT = 600
"""Seconds for which a check can be looked at."""

AT_A_TIME = 8
"""Checks that one process works at a time; the next one is refused, not made to wait."""

SLACK = timedelta(seconds=10)

_places = threading.BoundedSemaphore(AT_A_TIME)


class TooManyChecks(Exception):
    """As many checks run as may."""


@dataclass(frozen=True, slots=True)
class Run:
    """A check, as far as it has come. `report` is None until it has ended."""

    id: str
    domain: str
    begun: datetime
    ends_by: datetime
    findings: tuple[Finding, ...] = ()
    report: Report | None = None

    @property
    def name(self) -> Domain:
        return parse_domain(self.domain)

    @property
    def is_open(self) -> bool:
        return self.report is None and not self.is_lost

    @property
    def is_lost(self) -> bool:
        """Whether it should have ended long ago: its process was stopped meanwhile."""
        return self.report is None and timezone.now() > self.ends_by

    def found(self, stage: Stage) -> Finding | None:
        return next((finding for finding in self.findings if finding.stage is stage), None)

    def with_finding(self, new: Finding) -> Run:
        """With this finding in place of an earlier one of the same stage."""
        others = (finding for finding in self.findings if finding.stage is not new.stage)
        return replace(self, findings=(*others, new))


def start(name: Domain, kept: Kept, owner: int) -> Run:
    """A check of this domain for this user, begun now; the open one, where there is one.

    Raises TooManyChecks, and ValueError where the settings let nobody fetch.
    """
    given = check.tools(settings.MTASTS)
    now = timezone.now()
    span = timedelta(seconds=given.deadline) + SLACK
    run = Run(str(uuid.uuid4()), name.ascii, now, now + span)
    open_key = f"check:{owner}:{name.ascii}"
    if not cache.add(open_key, run.id, span.total_seconds()):
        before = find(str(cache.get(open_key)), owner)
        if before is not None and before.is_open:
            return before
        cache.set(open_key, run.id, span.total_seconds())
    if not _places.acquire(blocking=False):
        cache.delete(open_key)
        raise TooManyChecks
    _keep(run, owner)
    threading.Thread(
        target=contextvars.copy_context().run,
        args=(_work, run, given, kept, owner),
        name=f"check {name.ascii}",
        daemon=True,
    ).start()
    return run


def find(run_id: str, owner: int) -> Run | None:
    """The check with this id, if it is this user's and still kept."""
    run = cache.get(_key(run_id, owner))
    return run if isinstance(run, Run) else None


def _work(run: Run, given: Tools, kept: Kept, owner: int) -> None:
    def tell(finding: Finding) -> None:
        nonlocal run
        run = run.with_finding(finding)
        _keep(run, owner)

    try:
        report = check.run(run.name, given, kept, tell)
        _keep(replace(run, report=report), owner)
    except Exception:
        # What broke is logged by the thread's hook; the page says that there will be no more.
        _keep(replace(run, ends_by=timezone.now()), owner)
        raise
    finally:
        _places.release()


def _keep(run: Run, owner: int) -> None:
    cache.set(_key(run.id, owner), run, KEPT)


def _key(run_id: str, owner: int) -> str:
    return f"check:{owner}:{run_id}"
