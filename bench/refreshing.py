"""`python -m bench.refreshing COUNT DUE_PER_SECOND EVERY`: refresh so many policies, and tell.

They come due at this rate, from now on, and ticks come as the queue brings them. They are among
`AMONG` times as many, and one of them publishes another policy before its time. At 0 all are due
at once, and one round works them off. Each EVERYth policy host hangs.

Prints `change DOMAIN` when this domain is to publish another policy, and an object of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from multiprocessing import Process
from typing import TYPE_CHECKING

import django

from bench.names import CHANGED_ID, CHANGED_POLICY, POLICY, RECORD_ID, cached_names, hangs
from policies.mtasts import parse_policy

if TYPE_CHECKING:
    from policies.models import PolicyRecord, PolicyVersion

BATCH = 500
MINUTE = 60.0
AMONG = 5
DAY = timedelta(days=1)


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"
    count, rate, every = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    changing = _changing(count, every)
    storing = Process(target=_store, args=(count, rate, changing))  # its memory is not to count
    storing.start()
    storing.join()
    django.setup()
    from policies import refresh

    plan = _plan(count, every) if rate else {}
    before, began = time.process_time(), time.monotonic()
    if rate:
        publish = threading.Timer(changing / rate / 2, _publish, [changing])
        publish.start()
        _tick_each_minute(count, rate)
        publish.join()
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
                "failed": _failed(),
                "memory": memory,
                **(_lateness(plan) if rate else {}),
                **(_change(_name(changing), plan) if rate else {}),
            }
        )
    )


def _changing(count: int, every: int) -> int:
    """The number of the domain that publishes another policy: a healthy one, late in the run."""
    return next(number for number in range(2 * count // 3, count) if not hangs(number, every))


def _name(number: int) -> str:
    return cached_names(number + 1)[number]


def _publish(number: int) -> None:
    print(f"change {_name(number)}", flush=True)


def _store(count: int, rate: float, changing: int) -> None:
    django.setup()
    from django.utils import timezone

    from policies.models import PolicyRecord

    now = timezone.now()
    rows = _rows(count, rate, now)
    while batch := list(islice(rows, BATCH)):
        PolicyRecord.objects.bulk_create(batch)
    _version(_name(changing), now).save()


def _rows(count: int, rate: float, now: datetime) -> Iterator[PolicyRecord]:
    from policies.models import PolicyRecord
    from policies.models.policy import policy_fields

    columns = policy_fields(parse_policy(POLICY))
    for number, name in enumerate(cached_names(AMONG * count if rate else count)):
        yield PolicyRecord(
            domain=name,
            valid_end=now + 3 * DAY,
            refresh_due=_due(number, rate, now) if number < count else now + DAY,
            last_update=now - DAY,
            last_use=now,
            record_id=RECORD_ID,
            policy_text=POLICY,
            **columns,
        )


def _due(number: int, rate: float, now: datetime) -> datetime:
    return now + timedelta(seconds=number / rate if rate else -60)


def _version(domain: str, now: datetime) -> PolicyVersion:
    """The one that is held before the change."""
    from policies.models import Fetch, PolicyVersion

    return PolicyVersion(
        domain=domain, record_id=RECORD_ID, policy_text=POLICY, digest=_digest(POLICY),
        mode="enforce", first_seen=now - DAY, found_by=Fetch.Source.LOOKUP,
    )  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plan(count: int, every: int) -> dict[str, datetime]:
    """When each healthy domain is to be fetched, as it is stored."""
    from policies.models import PolicyRecord

    healthy = {name for number, name in enumerate(cached_names(count)) if not hangs(number, every)}
    stored = PolicyRecord.objects.filter(refresh_due__isnull=False)
    return {
        name: due
        for name, due in stored.values_list("domain", "refresh_due").iterator()
        if due is not None and name in healthy
    }


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


def _lateness(plan: Mapping[str, datetime]) -> dict[str, float]:
    """`late`: by how many seconds the latest healthy domain was fetched after its plan, or was not
    fetched by now; `missed`: how many of them were not."""
    from django.db.models import Min
    from django.utils import timezone

    from policies.models import Fetch

    fetched = Fetch.objects.filter(outcome=Fetch.Outcome.FETCHED).order_by("domain")
    first = fetched.values_list("domain").annotate(Min("started_at"))
    ended: dict[str, datetime] = {domain: started for domain, started in first if started}
    now = timezone.now()
    late = max((ended.get(name, now) - due).total_seconds() for name, due in plan.items())
    return {"late": late, "missed": len(plan.keys() - ended.keys())}


def _change(domain: str, plan: Mapping[str, datetime]) -> dict[str, float | bool]:
    """`changed`: after how many seconds past its plan the other policy was seen; `right`: whether
    text, id and history say so, and no other domain is said to have changed."""
    from django.utils import timezone

    from policies.models import Fetch, PolicyRecord, PolicyVersion

    row = PolicyRecord.objects.get(domain=domain)
    versions = list(PolicyVersion.objects.filter(domain=domain).order_by("first_seen"))
    seen = next((each.first_seen for each in versions if each.record_id == CHANGED_ID), None)
    hosts = [str(pattern) for pattern in parse_policy(CHANGED_POLICY).mx]
    is_right = (
        (row.record_id, row.policy_text, row.mx) == (CHANGED_ID, CHANGED_POLICY, hosts)
        and [(each.record_id, each.policy_text, each.digest, each.last_seen) for each in versions]
        == [
            (RECORD_ID, POLICY, _digest(POLICY), seen),
            (CHANGED_ID, CHANGED_POLICY, _digest(CHANGED_POLICY), None),
        ]
        and [*Fetch.objects.filter(changed=True).values_list("domain", flat=True)] == [domain]
    )
    late = ((seen or timezone.now()) - plan[domain]).total_seconds()
    return {"changed": late, "right": is_right}


def _failed() -> int:
    from policies.models import Fetch

    return Fetch.objects.filter(outcome=Fetch.Outcome.FAILED).count()


if __name__ == "__main__":
    main()
