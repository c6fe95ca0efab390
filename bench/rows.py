"""`python -m bench.rows COUNT`: store so many policies and fetches, as a cache in use has them,
and what `bench.past` adds.

Names look like names, uses and ends spread over time, and every state of the list occurs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from django.db.models import Model

    from policies.models import Fetch, PolicyRecord

BATCH = 5000

MADE = 20_000
"""So many rows are made one by one; the others are copies of these with names and times of their
own, which the database makes itself."""

DAY = timedelta(days=1)

BEGINNINGS = "al ber cor dan el fin gar hol in jor kal lin mar nor os pal quin ros sol tan ul vin"
MIDDLES = "a be ci do e fa gi ho i ka li mo na o pi ra si to u va we za"
ENDS = "bank craft data den farm gate group haus land lab media net port shop soft ton ware works"
SUFFIXES = "com com com de de net org co.uk fr nl io example"
RARE = "zyzzyva"
"""Part of one name in a thousand."""

FREQUENT = "media"
"""Part of six in a hundred."""

POLICY = "version: STSv1\nmode: {mode}\nmx: mx1.{domain}\nmx: *.mail.{domain}\nmax_age: {max_age}\n"


def names(random: Random) -> Iterator[str]:
    """Domains without end, each once, in no order."""
    beginnings, middles, ends, suffixes = (
        words.split() for words in (BEGINNINGS, MIDDLES, ENDS, SUFFIXES)
    )
    number = 0
    while True:
        parts = [random.choice(each) for each in (beginnings, middles, middles, ends)]
        # The number keeps them apart. It comes last: neighbours by name are none by age.
        rare = f"-{RARE}" if number % 1000 == 500 else ""
        yield f"{''.join(parts)}{rare}{number:x}.{random.choice(suffixes)}"
        number += 1


def policies(now: datetime) -> Iterator[PolicyRecord]:
    """Without end, each in some state."""
    from policies.models import PolicyRecord
    from policies.models.policy import policy_fields
    from policies.mtasts import parse_policy

    random = Random(6)
    for domain in names(random):
        mode = random.choices(("enforce", "testing", "none"), (94, 3, 3))[0]
        max_age = random.choice((86_400, 604_800, 2_592_000, 31_557_600))
        text = POLICY.format(mode=mode, domain=domain, max_age=max_age)
        row = PolicyRecord(
            domain=domain,
            inserted=now - random.random() * 400 * DAY,
            last_use=None if random.random() < 0.05 else now - random.random() ** 3 * 150 * DAY,
            last_update=now - random.random() * DAY,
            refresh_due=now + random.random() * DAY,
            valid_end=now + DAY + random.random() * timedelta(seconds=max_age),
            record_id=f"{random.randrange(10**12)}",
            policy_text=text,
            outcome_type="no-policy-found" if mode == "none" else "sts",
            **policy_fields(parse_policy(text)),
        )
        _spoil(row, random, now)
        yield row


def _spoil(row: PolicyRecord, random: Random, now: datetime) -> None:
    """Leave most as they are, and bring some into a state that one looks for."""
    dice = random.random()
    if dice < 0.01:
        row.backoff, row.mode, row.mx, row.max_age = True, "none", [], 300
        row.valid_end = now + random.random() * timedelta(minutes=5)
        row.outcome_type, row.outcome_failure = "sts", "sts-policy-fetch-error"
        row.failure_type, row.failure_reason = "sts-policy-fetch-error", "no-policy-served"
    elif dice < 0.015:
        row.valid_end = now - random.random() * 30 * DAY
    elif dice < 0.035:
        row.valid_end = now + random.random() * DAY
    elif dice < 0.037:
        row.outcome_type = "sts"
        row.outcome_failure = random.choice(("sts-webpki-invalid", "sts-policy-invalid"))
        row.outcome_reason = "certificate-expired"
    elif dice < 0.039:
        row.edited = now - random.random() * DAY
    elif dice < 0.05:
        row.outcome_type = ""


def fetches(now: datetime) -> Iterator[Fetch]:
    """Of the same domains, over 90 days."""
    from policies.models import Fetch

    random = Random(7)
    for domain in names(random):
        queued = now - random.random() * 90 * DAY
        outcome = random.choices(Fetch.Outcome.values, (930, 40, 20, 8, 2))[0]
        failed = outcome == Fetch.Outcome.FAILED
        yield Fetch(
            domain=domain,
            source=random.choices(Fetch.Source.values, (1, 30, 69))[0],
            state=Fetch.State.DONE,
            queued_at=queued,
            started_at=queued,
            finished_at=queued + random.random() * timedelta(seconds=3),
            outcome=outcome,
            failure_type="sts-policy-fetch-error" if failed else "",
            failure_reason="no-policy-served" if failed else "",
            record_id="1",
        )


def multiply(model: type[Model], times: int, changes: dict[str, str]) -> None:
    """Store all rows of a table so many times again. `changes`: columns and what they become."""
    from django.db import connection

    stored = [
        str(field.column)
        for field in model._meta.concrete_fields
        if not (field.primary_key or field.generated)
    ]
    values = ", ".join(changes.get(name, name) for name in stored)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        last = model._default_manager.latest("pk").pk
        for copy in range(1, times + 1):
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(stored)}) SELECT {values} FROM {table}"
                f" WHERE id <= {last}".replace("{copy}", f"{copy:x}")
            )


def _name_and_times(*times: str) -> dict[str, str]:
    """SQL for the name of a copy ("{copy}" is its number), and for times that are earlier by up to
    an hour."""
    from django.db import connection

    if connection.vendor == "postgresql":
        find, shifted = "strpos", "{} - random() * interval '1 hour'"
    else:
        find, hour = "instr", "printf('-%d seconds', abs(random()) % 3600)"
        shifted = f"strftime('%Y-%m-%d %H:%M:%f', {{}}, {hour})"
    dot = f"{find}(domain, '.')"
    name = f"substr(domain, 1, {dot} - 1) || '-{{copy}}' || substr(domain, {dot})"
    return {"domain": name, **{each: shifted.format(each) for each in times}}


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"
    django.setup()
    from django.db import connection
    from django.utils import timezone

    from bench import past
    from policies.models import Change, Fetch, PolicyRecord

    now, count = timezone.now(), int(sys.argv[1])
    made = min(count, MADE)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = -400000")  # KiB; indexes are written to all over
    for model, rows, times in (
        (PolicyRecord, policies(now), ("last_use", "valid_end", "refresh_due", "inserted")),
        (Fetch, fetches(now), ("queued_at", "started_at", "finished_at")),
    ):
        if model._default_manager.exists():
            continue  # kept from an earlier time
        some = islice(rows, made)
        while batch := list(islice(some, BATCH)):
            model._default_manager.bulk_create(batch)
        multiply(model, count // made - 1, _name_and_times(*times))
    past.store(now)
    with connection.cursor() as cursor:
        # Triggers noted each row; the tick would have forgotten them.
        cursor.execute(f"DELETE FROM {Change._meta.db_table}")
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")  # as autovacuum does soon; SQLite has nothing like it


if __name__ == "__main__":
    main()
