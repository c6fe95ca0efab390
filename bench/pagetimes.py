"""`python -m bench.pagetimes`: how long the server takes for each page, with the database there is.

Prints the medians as a JSON object: milliseconds by the page's name. Middleware, queries and
templates are part of it; a web server and a network are not. The resources of the feed follow, and
the parts of a tick that finds nothing to do (`TICK` begins their names).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import django

from bench.rows import FREQUENT, RARE

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client

WARM = 2
ROUNDS = 10
FEWER = 3
"""Rounds for each filter in each order, of which there are hundreds."""

IN_ORDER = "in order: "
"""Begins their names."""

TICK = "tick: "
FEED = "/api/v1/"
SOON = timedelta(hours=6)
"""Nothing is due for so long while ticks are measured."""


def paths() -> dict[str, str]:
    """Pages by name; those of the list are named after what is asked."""
    from django.utils import timezone

    from policies import listing
    from policies.models import PolicyRecord

    some = PolicyRecord.objects.order_by("domain").filter(domain__gte="m")[:1].get()
    queries = {
        "all": {},
        **_filters(),
        **{f"sort={sort}": {"sort": sort} for sort in listing.SORTS},
        "mode and state": {"mode": "enforce", "state": "expiring"},
        "state, by domain": {"state": "expiring", "sort": "domain"},
        "mode, by domain": {"mode": "enforce", "sort": "domain"},
        "page of a month ago": {
            "after": str(listing.Cursor((timezone.now() - timedelta(days=30), "")))
        },
        "page of the middle, by domain": {
            "after": str(listing.Cursor((some.domain,))),
            "sort": "domain",
        },
        "=name": {"q": f"={some.domain}"},
        "alb*": {"q": "alb*"},
        "part, frequent": {"q": FREQUENT},
        "part, one in a thousand": {"q": RARE},
        "part, absent": {"q": "qqqq"},
    }
    return {
        **{name: f"/policies/?{urlencode(query)}" for name, query in queries.items()},
        "row": f"/policies/{some.name.ascii}/row/",
        "policy": f"/policies/{some.name.ascii}/",
        "fetches": "/fetches/",
        "fetches, failed": "/fetches/?outcome=failed",
        "alerts": "/alerts/",
        "alerts, over": "/alerts/?show=closed",
        "alerts, of a kind": "/alerts/?kind=record-gone",
        "exceptions": "/exceptions/",
        "exceptions, ended": "/exceptions/?state=ended",
        "trouble": "/trouble/",
        "outcomes": "/outcomes/",
        "outcomes, 7 days": "/outcomes/?days=7",
        "outcomes, failed": "/outcomes/?failures=1",
        "outcomes, of a type": "/outcomes/?type=sts-policy-fetch-error",
        "audit": "/audit/",
    }


def _filters() -> dict[str, dict[str, str]]:
    """What each filter of the list asks, by its name."""
    from policies import listing

    choices = {
        "mode": listing.MODES,
        "state": listing.STATES,
        "outcome": listing.OUTCOMES,
        "used": listing.USED,
    }
    return {
        f"{name}={choice.value}": {name: choice.value}
        for name in choices
        for choice in choices[name]
    }


def ordered_paths() -> dict[str, str]:
    """Each filter in each order but the usual one."""
    from policies import listing

    return {
        f"{IN_ORDER}{name}, sort={sort}": f"/policies/?{urlencode(query | {'sort': sort})}"
        for name, query in _filters().items()
        for sort in listing.SORTS
        if sort != listing.DEFAULT_SORT
    }


def feed_paths() -> dict[str, str]:
    """Resources of the feed by name."""
    from policies.models import PolicyRecord

    some = PolicyRecord.objects.order_by("domain").filter(domain__gte="m")[:1].get()
    names = ("policies", "fetches", "outcomes", "alerts", "exceptions", "trouble", "status")
    return {
        **{f"feed: {name}": f"{FEED}{name}/" for name in names},
        "feed: one policy and its history": f"{FEED}policies/{some.name.ascii}/",
    }


def ticks() -> dict[str, Callable[[], object]]:
    """All parts of the tick; see `tasks.tick`."""
    from django.utils import timezone

    from policies import (
        alerts,
        changes,
        exceptions,
        fetches,
        heartbeats,
        history,
        jobs,
        mxcheck,
        outcomes,
        probing,
        questions,
        queue,
        refresh,
        succession,
        summary,
        trouble,
    )
    from policies.alerts import delivery, digest

    now = timezone.now()
    long_ago = now - timedelta(hours=1)
    return {
        "refresh": refresh.tick,
        "MX checks": lambda: mxcheck.tick(timedelta(seconds=25)),
        "probes": lambda: probing.tick(timedelta(seconds=15)),
        "counts": lambda: summary.recount(now),
        "alerts": lambda: alerts.tidy(now),
        "jobs": jobs.tidy,
        "exceptions over": lambda: exceptions.close_lapsed(now),
        "exceptions, old": lambda: exceptions.prune(now),
        "fetches, lost": lambda: fetches.give_up(queued_before=long_ago, started_before=long_ago),
        "fetches, old": lambda: fetches.prune(now),
        "changes, old": lambda: changes.prune(now),
        "outcomes, old": lambda: outcomes.prune(now),
        "history": lambda: history.tidy(now),
        "digest": lambda: digest.make(now, trouble.lines),
        "messages, old": lambda: delivery.prune(now),
        "messages to send": lambda: delivery.send_due(now),
        "questions": lambda: questions.forget(now),
        "machines": lambda: heartbeats.forget(now),
        "tasks of the queue": lambda: queue.tidy(now),
        "what the dead held": succession.settle,
    }


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"
    # No host of these made-up names is to be asked for, whatever comes due.
    os.environ["MTASTS_NAMESERVERS"] = "127.0.0.1:9"
    django.setup()
    from django.contrib.auth.models import Group, User

    operator, _ = User.objects.get_or_create(username="bench")
    operator.groups.add(Group.objects.get(name="operator"))
    page, feed = _browser(operator), _script(operator)
    measured = {name: _median(partial(page, path)) for name, path in paths().items()}
    measured |= {
        name: _median(partial(page, path), FEWER) for name, path in ordered_paths().items()
    }
    measured |= {name: _median(partial(feed, path)) for name, path in feed_paths().items()}
    _have_nothing_due()
    measured |= {f"{TICK}{name}": _median(part) for name, part in ticks().items()}
    print(json.dumps(measured))


def _browser(user: User) -> Callable[[str], None]:
    from django.test import Client

    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return lambda path: _get(client, path)


def _script(user: User) -> Callable[[str], None]:
    """What reads the feed, with a token of this user's."""
    from django.test import Client
    from django.utils import timezone

    from policies import tokens

    _, token = tokens.make(user, "bench", timezone.now() + timedelta(days=1))
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return lambda path: _get(client, path)


def _get(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)


def _have_nothing_due() -> None:
    """Whatever is due, or soon will be, is planned for later; what has outlived itself goes."""
    from django.utils import timezone

    from policies import history, mxcheck, refresh, saving, summary
    from policies.models import MXCheck, PolicyRecord

    now = timezone.now()
    late = now + timedelta(days=1)
    PolicyRecord.objects.filter(refresh_due__lt=now + SOON).update(refresh_due=late)
    PolicyRecord.objects.filter(refresh_due=None).update(refresh_due=late)
    MXCheck.objects.filter(due__lt=now + SOON).update(due=late)
    summary.count(now)
    refresh.tick()
    walked = mxcheck.walk(now)
    history.tidy(now)
    assert (refresh.tick(), walked) == (saving.Counts(), 0)


def _median(done: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds."""
    spent = []
    for _ in range(WARM + rounds):
        began = time.perf_counter()
        done()
        spent.append((time.perf_counter() - began) * 1000)
    return median(spent[WARM:])


if __name__ == "__main__":
    main()
