"""Counts of the whole cache for the list's tiles: counted now and then, read by pages.

To count a million rows takes too long for a page. How often it is done follows from how long it
takes: at most half a percent of the time.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db.models import Count

from policies import exceptions, outcomes
from policies.models import Fetch, PolicyRecord, Summary

NAME = "policies"
SOONEST = timedelta(minutes=1)
SHARE = 200
"""One counting in so many times as long as it takes."""

SOON = timedelta(days=1)


def latest(now: datetime) -> Summary:
    """The last counts; made now where there are none yet."""
    return Summary.objects.filter(name=NAME).first() or count(now)


def fresh(now: datetime) -> Summary | None:
    """The last counts, while counting anew would cost more than half a percent of the time."""
    last = Summary.objects.filter(name=NAME).first()
    is_fresh = last is not None and now - last.at < timedelta(seconds=SHARE * last.took)
    return last if is_fresh else None


def by_mode() -> dict[str, int]:
    """Counted now: how many policies are in each mode, and how many rows hold none."""
    rows = PolicyRecord.objects.order_by()
    modes = dict(rows.values_list("mode").annotate(Count("pk")))
    backing_off = rows.filter(backoff=True).count()
    return {
        "enforce": modes.get("enforce", 0),
        "testing": modes.get("testing", 0),
        "none": modes.get("none", 0) - backing_off,
        "backoff": backing_off,
    }


def recount(now: datetime) -> None:
    """Count anew where it is time to."""
    last = Summary.objects.filter(name=NAME).first()
    if last is None or now - last.at >= max(SOONEST, timedelta(seconds=SHARE * last.took)):
        count(now)


def count(now: datetime) -> Summary:
    """Count now, each number by an index of its own."""
    began = time.monotonic()
    outcomes.summarize()
    rows = PolicyRecord.objects.order_by()
    modes = by_mode()
    failing = sum(number for (_, failure), number in outcomes.latest_counts().items() if failure)
    counts = {
        "cached": sum(modes.values()) - modes["backoff"],
        **modes,
        "expiring": rows.filter(
            valid_end__gt=now, valid_end__lte=now + SOON, backoff=False
        ).count(),
        "failing": failing,
        "alerts": rows.filter(open_alerts__isnull=False).count(),
        "exceptions": exceptions.active(now).count(),
        "open": Fetch.objects.exclude(state=Fetch.State.DONE).count(),
    }
    took = time.monotonic() - began
    summary, _ = Summary.objects.update_or_create(
        name=NAME, defaults={"counts": counts, "at": now, "took": took}
    )
    return summary
