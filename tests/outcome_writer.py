"""`python -m tests.outcome_writer DATABASE SEED`: one of several processes that record at once."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.outcomes import Seen

RESULTS = 100_000
BATCH = 5_000
DOMAINS = 300
REASONS = ("", "", "", "certificate-expired", "self-signed+fallback-to-cached-policy")
START = datetime(2026, 3, 1, 22, tzinfo=UTC)


def seen(seed: int) -> Iterator[Seen]:
    """What the process of this seed records: the same each time."""
    from policies.outcomes import Seen
    from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy

    chance = random.Random(seed)
    for number in range(RESULTS):
        reason = chance.choice(REASONS)
        policy = ResultPolicy(PolicyType.STS, f"d{chance.randrange(DOMAINS)}.example")
        failures = (FailureDetails("sts-webpki-invalid", reason),) if reason else ()
        # Two days, in and out of order.
        at = START + timedelta(seconds=number % 20_000)
        yield Seen(Result(policy, failures), at)


def main(database: str, seed: int) -> None:
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    from policies import outcomes

    results = list(seen(seed))
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(0, RESULTS, BATCH):
        outcomes.record(results[start : start + BATCH])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
