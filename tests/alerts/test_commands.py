"""`mtasts alerts` and `mtasts history`, as scripts call them."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from policies import cache
from policies.mtasts.errors import NoRecordError
from tests.worlds import ENFORCE, NOON, TESTING, Script

pytestmark = pytest.mark.django_db

IDN = "münchen.example"


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("mtasts", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def objects(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, "--json").splitlines()]


@pytest.fixture
def alarmed(script: Script) -> Script:
    script.publish()
    cache.get(IDN)
    script.look = NoRecordError("gone")
    cache.get(IDN)
    return script


def test_alerts_are_printed_with_what_scripts_rely_on(alarmed: Script) -> None:
    (alert,) = objects("alerts")
    assert alert["domain"] == "xn--mnchen-3ya.example"
    assert (alert["kind"], alert["severity"]) == ("record-gone", "warning")
    assert (alert["state"], alert["at"]) == ("suspected", NOON.isoformat())
    assert "xn--mnchen-3ya.example: warning, record gone, suspected" in run("alerts")


def test_what_is_over_is_printed_when_asked_for(alarmed: Script) -> None:
    alarmed.publish()
    cache.get(IDN)
    assert run("alerts") == ""
    (alert,) = objects("alerts", "--all")
    assert alert["closed_because"] == "well"
    assert "closed 2026-03-01 12:00: well again" in run("alerts", "--all")


def test_a_history_has_all_versions_newest_first(script: Script) -> None:
    script.publish()
    cache.get(IDN)
    script.publish(TESTING, "2")
    cache.get(IDN)
    new, old = objects("history", "MÜNCHEN.example.")
    assert (new["record_id"], new["mode"], new["policy_text"]) == ("2", "testing", TESTING)
    assert (old["record_id"], old["policy_text"]) == ("1", ENFORCE)
    assert (new["until"], old["until"]) == (None, NOON.isoformat())
    assert new["last_seen"] == old["last_seen"] == NOON.isoformat()
    assert len(old["sha256"]) == 64
    assert len(run("history", IDN).splitlines()) == 2


def test_no_history_is_no_failure_and_no_name_is(script: Script) -> None:
    assert run("history", "nothing.example") == ""
    with pytest.raises(SystemExit) as end:
        run("history", "no name")
    assert end.value.code == 64
