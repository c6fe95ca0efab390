"""`python -m bench.pagetimes`: how long the server takes for each page, with the database there is.

Prints the medians as a JSON object: milliseconds by the page's name. Middleware, queries and
templates are part of it; a web server and a network are not.
"""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from statistics import median
from urllib.parse import urlencode

import django

from bench.rows import FREQUENT, RARE

WARM = 2
ROUNDS = 10


def paths() -> dict[str, str]:
    """Pages by name; those of the list are named after what is asked."""
    from django.utils import timezone

    from policies import listing
    from policies.models import PolicyRecord

    some = PolicyRecord.objects.order_by("domain").filter(domain__gte="m")[:1].get()
    choices = {
        "mode": [choice.value for choice in listing.MODES],
        "state": [choice.value for choice in listing.STATES],
        "outcome": [choice.value for choice in listing.OUTCOMES],
        "used": [choice.value for choice in listing.USED],
        "sort": list(listing.SORTS),
    }
    queries = {
        "all": {},
        **{f"{name}={value}": {name: value} for name in choices for value in choices[name]},
        "mode and state": {"mode": "enforce", "state": "expiring"},
        "state, by domain": {"state": "expiring", "sort": "domain"},
        "mode, by domain": {"mode": "enforce", "sort": "domain"},
        "page of a month ago": {
            "after": str(listing.Cursor(timezone.now() - timedelta(days=30), ""))
        },
        "page of the middle, by domain": {
            "after": str(listing.Cursor(some.domain, some.domain)),
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
    }


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"
    django.setup()
    from django.contrib.auth.models import Group, User
    from django.test import Client

    operator, _ = User.objects.get_or_create(username="bench")
    operator.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(operator, "django.contrib.auth.backends.ModelBackend")
    print(json.dumps({name: _measure(client, path) for name, path in paths().items()}))


def _measure(client: django.test.Client, path: str) -> float:
    spent = []
    for _ in range(WARM + ROUNDS):
        began = time.perf_counter()
        response = client.get(path)
        spent.append((time.perf_counter() - began) * 1000)
        assert response.status_code == 200, path
    return median(spent[WARM:])


if __name__ == "__main__":
    main()
