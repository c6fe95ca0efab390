"""Every version of a policy, found by whom, from when to when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from policies import cache, history, refresh
from policies.models import PolicyRecord, PolicyVersion
from policies.mtasts.errors import FetchError
from tests.worlds import ENFORCE, NOON, TESTING, Script

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"


def seen() -> list[tuple[str, str, str]]:
    """Mode, id and kind of change, newest first."""
    return [
        (each.version.mode, each.version.record_id, each.kind) for each in history.of(DOMAIN, 9)
    ]


def test_a_lookup_a_refresh_and_an_operator_each_find_versions(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    script.pass_(days=1)
    script.publish(TESTING)
    refresh.run()
    script.pass_(days=1)
    script.publish(TESTING, "2")
    cache.refetch(DOMAIN)
    assert seen() == [
        ("testing", "2", "id changed, text did not"),
        ("testing", "1", "text changed, id did not"),
        ("enforce", "1", ""),
    ]
    versions = list(PolicyVersion.objects.all())
    assert [each.found_by for each in versions] == ["operator", "refresh", "lookup"]
    day = timedelta(days=1)
    assert [each.first_seen for each in versions] == [NOON + 2 * day, NOON + day, NOON]
    assert [each.last_seen for each in versions] == [None, NOON + 2 * day, NOON + day]


def test_a_change_as_it_should_be_is_not_remarkable(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    script.publish(TESTING, "2")
    cache.get(DOMAIN)
    assert seen() == [("testing", "2", ""), ("enforce", "1", "")]


def test_what_is_found_as_it_was_is_no_version(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    cache.refetch(DOMAIN)
    PolicyRecord.objects.update(refresh_due=None)
    refresh.run()
    script.pass_(days=2)
    script.fetch = FetchError("500", reason="http-status-500")
    cache.get(DOMAIN)
    script.pass_(minutes=5)
    script.publish()
    cache.get(DOMAIN)
    assert len(seen()) == 1


def test_outlives_the_row(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    cache.delete([DOMAIN])
    assert len(seen()) == 1


def test_the_latest_versions_are_kept(script: Script, change_environment: Any) -> None:
    change_environment(history_versions=3)
    for number in range(6):
        script.publish(ENFORCE + f"x: {number}\n", str(number))
        cache.get(DOMAIN)
    assert [record_id for _, record_id, _ in seen()] == ["5", "4", "3"]
    assert len(history.of(DOMAIN, limit=2)) == 2
    assert history.of(DOMAIN, limit=2)[1].before is not None


def test_of_a_day_are_the_versions_that_were_held_then(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    script.pass_(days=2)
    script.publish(TESTING, "2")
    cache.get(DOMAIN)
    changes = history.of(DOMAIN)

    def held(days: int) -> list[str]:
        day = (NOON + timedelta(days=days)).date()
        return [version.record_id for version in history.on(day, changes)]

    assert [held(days) for days in (-1, 0, 1, 2, 3)] == [[], ["1"], ["1"], ["2", "1"], ["2"]]


def test_history_goes_with_a_policy_that_outlived_itself(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    cache.get("used.example")
    script.pass_(days=181)
    PolicyRecord.objects.filter(domain="used.example").update(last_use=script.now())
    refresh.run()
    assert not PolicyRecord.objects.filter(domain=DOMAIN).exists()
    assert set(PolicyVersion.objects.values_list("domain", flat=True)) == {"used.example"}


def test_history_stays_when_an_operator_deletes_a_policy(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    cache.delete([DOMAIN])
    refresh.run()
    assert seen() == [("enforce", "1", "")]
