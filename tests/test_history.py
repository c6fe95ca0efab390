"""Every version of a policy, found by whom, from when to when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from policies import cache, history, refresh
from policies.models import PolicyRecord, PolicyVersion
from policies.mtasts.errors import FetchError, NoRecordError
from tests.worlds import ENFORCE, NONE, NOON, TESTING, Script, policy

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"


def changes(script: Script, limit: int | None = None) -> list[history.Change]:
    row = PolicyRecord.objects.filter(domain=DOMAIN).first()
    return history.of(DOMAIN, limit, now=script.now(), row=row)


def seen() -> list[tuple[str, str, str]]:
    """Mode, id and kind of change, newest first."""
    found = history.of(DOMAIN, 9, now=NOON, row=None)
    return [(each.version.mode, each.version.record_id, each.kind) for each in found]


def held(script: Script, *days: float) -> list[list[str]]:
    """The ids of the versions that were in force on each of these days after the first."""
    found = changes(script)
    dates = [(NOON + timedelta(days=day)).date() for day in days]
    return [[version.record_id for version in history.on(day, found)] for day in dates]


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
    script.pass_(days=1.5)
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
    assert len(changes(script, 2)) == 2
    assert changes(script, 2)[1].before is not None


def test_of_a_day_are_the_versions_that_were_held_then(script: Script) -> None:
    script.publish(ENFORCE.replace("86400", "604800"))
    cache.get(DOMAIN)
    script.pass_(days=2)
    script.publish(TESTING, "2")
    cache.get(DOMAIN)
    assert held(script, -1, 0, 1, 2, 3) == [[], ["1"], ["1"], ["2", "1"], ["2"]]


DAY = timedelta(days=1)
TWO_DAYS = ENFORCE.replace("86400", "172800")


class TestAPolicyThatHasEnded:
    def test_is_in_force_until_it_expires(self, script: Script) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=1.5)
        (change,) = changes(script)
        assert (change.until, change.last_seen) == (None, NOON)
        script.pass_(days=8)
        (change,) = changes(script)
        assert (change.until, change.last_seen) == (NOON + 2 * DAY, NOON)
        assert held(script, 0, 2, 3, 9) == [["1"], ["1"], [], []]

    def test_was_seen_last_when_it_was_fetched_last(self, script: Script) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=1.5)
        refresh.run()
        (change,) = changes(script)
        assert (change.until, change.last_seen) == (None, NOON + 1.5 * DAY)

    def test_is_in_force_no_more_while_its_domain_backs_off(self, script: Script) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=4)
        script.fetch = FetchError("500", reason="http-status-500")
        cache.get(DOMAIN)
        assert PolicyRecord.objects.get().backoff
        (change,) = changes(script)
        assert change.until == NOON + 2 * DAY
        assert held(script, 2, 3, 4) == [["1"], [], []]

    def test_is_in_force_no_more_while_an_operators_text_is(self, script: Script) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=1)
        row = PolicyRecord.objects.get()
        row.policy_text = TESTING
        row.valid_end = NOON + 9 * DAY
        cache.edit(row, policy(TESTING), text_edited=True)
        script.pass_(days=1)
        assert held(script, 0, 1, 2) == [["1"], ["1"], []]

    @pytest.mark.parametrize("text", [TWO_DAYS, TESTING])
    def test_leaves_a_gap_until_one_is_fetched_again(self, script: Script, text: str) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=6)
        script.publish(text)
        cache.get(DOMAIN)
        assert held(script, 1, 2, 3, 5, 6) == [["1"], ["1"], [], [], ["1"]]
        new, old = changes(script)
        assert (old.until, new.until) == (NOON + 2 * DAY, None)

    def test_is_the_same_where_it_is_found_again_within_a_day(self, script: Script) -> None:
        hour = ENFORCE.replace("86400", "3600")
        script.publish(hour)
        for _ in range(9):
            cache.get(DOMAIN)
            script.pass_(hours=20)
        assert len(changes(script)) == 1


class TestADeletedPolicy:
    @pytest.mark.parametrize("after", [1, 5])
    def test_of_an_operators_hand_ends_then_or_when_it_expired(
        self, script: Script, after: int
    ) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=after)
        cache.delete([DOMAIN])
        assert PolicyVersion.objects.get().last_seen == NOON + min(after, 2) * DAY

    def test_that_was_phased_out_ends_then(self, script: Script) -> None:
        script.publish(NONE)
        cache.get(DOMAIN)
        script.pass_(days=0.9)
        script.look = NoRecordError("gone")
        refresh.run()
        assert not PolicyRecord.objects.exists()
        assert PolicyVersion.objects.get().last_seen == script.now()
        (change,) = changes(script)
        assert change.until == script.now()

    def test_that_backed_off_ended_when_it_expired(self, script: Script) -> None:
        script.publish(TWO_DAYS)
        cache.get(DOMAIN)
        script.pass_(days=4)
        script.fetch = FetchError("500", reason="http-status-500")
        cache.get(DOMAIN)
        script.look = NoRecordError("gone")
        cache.get(DOMAIN)
        assert not PolicyRecord.objects.exists()
        assert PolicyVersion.objects.get().last_seen == NOON + 2 * DAY

    def test_without_a_word_ends_when_the_tick_comes_by(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        cache.get("stays.example")
        PolicyRecord.objects.filter(domain=DOMAIN).delete()
        (change,) = changes(script)
        assert change.until == NOON
        script.pass_(hours=1)
        history.tidy(script.now())
        ends = dict(PolicyVersion.objects.values_list("domain", "last_seen"))
        assert ends == {DOMAIN: script.now(), "stays.example": None}


def test_what_ended_long_ago_is_forgotten_a_piece_at_a_time(script: Script) -> None:
    script.publish()
    names = [f"d{at}.example" for at in range(10)]
    for name in [*names, "stays.example"]:
        cache.get(name)
    cache.delete(names)
    script.pass_(days=400)
    history.tidy(script.now())
    assert PolicyVersion.objects.count() == 11
    script.pass_(days=1)
    left = []
    for _ in range(4):
        history.tidy(script.now(), 4)
        left.append(PolicyVersion.objects.count())
    assert left == [7, 3, 1, 1]
    assert PolicyVersion.objects.get().domain == "stays.example"
    cache.get("later.example")
    cache.delete(["later.example"])
    script.pass_(days=401)
    history.tidy(script.now(), 4)
    history.tidy(script.now(), 4)
    assert PolicyVersion.objects.get().domain == "stays.example", "it begins anew at the end"


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
