"""Many writers at once: no count is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection

from policies.models import Outcome, OutcomeFailure, OutcomeTotal
from tests import outcome_writer

ROOT = Path(__file__).resolve().parent.parent
SEEDS = (1, 2)
SECONDS = 60
"""More than it takes by far, and still seconds."""


@pytest.mark.django_db(transaction=True)
def test_two_processes_that_record_a_hundred_thousand_results_each_end_with_exact_sums() -> None:
    database = str(connection.settings_dict["NAME"])
    connection.close()
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.outcome_writer", database, str(seed)],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in SEEDS
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    began = time.monotonic()
    for writer in writers:
        writer.communicate("go\n", timeout=SECONDS)
        assert writer.returncode == 0
    assert time.monotonic() - began < SECONDS

    rows: Counter[tuple[object, ...]] = Counter()
    details: Counter[tuple[object, ...]] = Counter()
    for seed in SEEDS:
        for seen in outcome_writer.seen(seed):
            day, domain = seen.at.date(), seen.result.policy.domain
            rows[day, domain, "count"] += seen.count
            for failure in seen.result.failures:
                rows[day, domain, "failed"] += seen.count
                details[day, domain, failure.reason_code] += seen.count
    stored = Outcome.objects.values_list("day", "domain", "count", "failed")
    assert (
        Counter(
            {
                (day, domain, name): number
                for day, domain, count, failed in stored
                for name, number in (("count", count), ("failed", failed))
            }
        )
        == rows
    )
    found = OutcomeFailure.objects.values_list("day", "outcome__domain", "reason", "count")
    assert {tuple(key): count for *key, count in found} == dict(details)
    totals = OutcomeTotal.objects.filter(result_type="").values_list("count", flat=True)
    assert sum(totals) == len(SEEDS) * outcome_writer.RESULTS
