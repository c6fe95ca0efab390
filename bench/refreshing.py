"""`python -m bench.refreshing COUNT DUE_PER_SECOND`: refresh so many policies, and tell.

They come due at this rate, from now on, and ticks come as the queue brings them; at 0 all are due
at once, and one round works them off. Prints an object of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from datetime import datetime, timedelta
from multiprocessing import Process

import django

from bench.names import POLICY, cached_names
from policies.mtasts import parse_policy

BATCH = 500
MINUTE = 60.0


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"
    count, rate = int(sys.argv[1]), float(sys.argv[2])
    storing = Process(target=_store, args=(count, rate))  # apart, for its memory is not to count
    storing.start()
    storing.join()
    django.setup()
    from policies import refresh

    before, began = time.process_time(), time.monotonic()
    if rate:
        _tick_each_minute(count, rate)
    else:
        refresh.run()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took, cpu = time.monotonic() - began, time.process_time() - before
    print(
        json.dumps(
            {
                "seconds": took,
                "steady": _steady_rate(count),
                "cpu": 1000 * cpu / count,
                "late": _latest(count, rate) if rate else 0.0,
                "failed": _failed(),
                "memory": memory,
            }
        )
    )


def _store(count: int, rate: float) -> None:
    django.setup()
    from django.utils import timezone

    from policies.models import PolicyRecord
    from policies.models.policy import policy_fields

    policy, now = parse_policy(POLICY), timezone.now()
    PolicyRecord.objects.bulk_create(
        [
            PolicyRecord(
                domain=name,
                valid_end=now + timedelta(days=3),
                refresh_due=_due(number, rate, now),
                last_update=now - timedelta(days=1),
                last_use=now,
                record_id="1",
                policy_text=POLICY,
                **policy_fields(policy),
            )
            for number, name in enumerate(cached_names(count))
        ],
        batch_size=BATCH,
    )


def _due(number: int, rate: float, now: datetime) -> datetime:
    return now + timedelta(seconds=number / rate if rate else -60)


def _tick_each_minute(count: int, rate: float) -> None:
    from policies import refresh

    end = time.monotonic() + count / rate + MINUTE
    while (began := time.monotonic()) < end:
        refresh.tick()
        time.sleep(max(0.0, min(began + MINUTE, end) - time.monotonic()))


def _steady_rate(count: int) -> float:
    """Fetches a second between the twentieth part and the last but one: without start and tail."""
    from policies.models import Fetch

    ends = list(Fetch.objects.order_by("finished_at").values_list("finished_at", flat=True))
    first, last = ends[len(ends) // 20], ends[-len(ends) // 20]
    return 0.9 * count / (last - first).total_seconds()


def _latest(count: int, rate: float) -> float:
    """By how many seconds the latest healthy domain was fetched after its plan."""
    from django.db.models import Min

    from policies.models import Fetch

    healthy = Fetch.objects.filter(outcome=Fetch.Outcome.FETCHED).order_by("domain")
    ends = dict(healthy.values_list("domain").annotate(Min("started_at")))
    start = min(ends.values())
    plan = {name: _due(number, rate, start) for number, name in enumerate(cached_names(count))}
    return max((ended - plan[name]).total_seconds() for name, ended in ends.items())


def _failed() -> int:
    from policies.models import Fetch

    return Fetch.objects.filter(outcome=Fetch.Outcome.FAILED).count()


if __name__ == "__main__":
    main()
