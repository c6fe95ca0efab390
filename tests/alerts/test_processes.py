"""Two processes see the same change at the same time: one alert."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.db import connection

from mtastsweb.environment import BASE_DIR
from policies import cache
from policies.models import Alert, PolicyRecord
from tests.alerts.looker import DOMAINS
from tests.worlds import NOON, Script, served

SECONDS = 120
"""More than it takes by far."""


@pytest.mark.django_db(transaction=True)
def test_two_processes_open_one_alert_for_each_domain() -> None:
    script = Script()
    # The resolver of this test denies every name, which would be ours if nothing could be fetched.
    script.publish()
    for domain in [*DOMAINS, "fine.example"]:
        cache.get(domain, outside=script.world)
    assert served().text == PolicyRecord.objects.filter(domain=DOMAINS[0]).get().policy_text
    database = str(connection.settings_dict["NAME"])
    connection.close()
    lookers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.alerts.looker", database],
            cwd=BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for looker in lookers:
        assert looker.stdout is not None
        assert looker.stdout.readline() == "ready\n"
    for looker in lookers:
        assert looker.stdin is not None
        looker.stdin.write("go\n")
        looker.stdin.flush()
    for looker in lookers:
        looker.communicate(timeout=SECONDS)
        assert looker.returncode == 0
    found = Alert.objects.values_list("domain", "kind", "opened_at")
    assert sorted(found) == sorted((domain, "record-gone", NOON) for domain in DOMAINS)
