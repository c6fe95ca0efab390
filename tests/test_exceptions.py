"""Exceptions as they are stored, found, counted and ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from policies import exceptions, setup
from policies.models import PolicyException
from policies.socketmap.exceptions import Action, Powers, Refused, Rule
from policies.socketmap.exceptions.checking import ALL
from tests.socketmap.exceptions.making import WEEK, by_mx, everything, pin, require, rule, suffix
from tests.worlds import NOON

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def add(made: Rule, now: datetime = NOON) -> PolicyException:
    return exceptions.add(made, ALL, None, now)


def test_what_is_added_comes_back_as_it_was_checked() -> None:
    made = [
        rule(target="BÜCHER.example"), suffix(), by_mx(".mail.test"), everything(),
        pin(target="p.test"), require("mx.r.test", target="r.test"),
        rule(target="endless.test", until=None),
    ]  # fmt: skip
    rows = [add(each) for each in made]
    found = {each.id: each for each in exceptions.current(NOON).all}
    assert [found[row.pk].target for row in rows] == [
        "bücher.example", ".example.org", "*.mail.test", "", "p.test", "r.test", "endless.test",
    ]  # fmt: skip
    assert found[rows[4].pk].policy is not None
    assert found[rows[5].pk].match == ("mx.r.test",)


def test_a_target_has_one_that_has_not_ended() -> None:
    add(rule())
    with pytest.raises(Refused) as refused:
        add(rule(Action.ENFORCE, target="Example.org."))
    assert refused.value.problems == {"target": exceptions.ANOTHER}
    assert PolicyException.objects.get().action == "skip"


def test_one_that_is_over_makes_room_for_another() -> None:
    first = add(rule())
    second = add(rule(since=NOON + WEEK, until=NOON + 2 * WEEK), NOON + WEEK)
    first.refresh_from_db()
    assert first.ended == NOON + WEEK
    assert [each.id for each in exceptions.current(NOON + WEEK).all] == [second.pk]


def test_one_that_would_be_over_already_is_refused() -> None:
    with pytest.raises(Refused, match="past"):
        add(rule(), NOON + WEEK)


def test_of_many_all_are_added_or_none() -> None:
    with pytest.raises(Refused):
        exceptions.add_all([rule(target="a.test"), rule(target="no name")], ALL, None, NOON)
    assert not PolicyException.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_change_keeps_the_count_and_is_checked() -> None:
    row = add(rule())
    exceptions.note_uses({row.pk: 3}, NOON)
    row.refresh_from_db()
    exceptions.change(row, rule(Action.ENFORCE), Powers(), None, NOON)
    row.refresh_from_db()
    assert (row.action, row.uses) == ("enforce", 3)
    with pytest.raises(Refused):
        exceptions.change(row, rule(until=None), Powers(), None, NOON)


def test_an_end_is_written_once() -> None:
    row = add(rule())
    assert exceptions.end(row, None, NOON + HOUR)
    assert not exceptions.end(row, None, NOON + 2 * HOUR)
    row.refresh_from_db()
    assert row.ended == NOON + HOUR
    assert not exceptions.current(NOON + HOUR)


def test_what_people_and_the_command_line_do_is_in_the_log() -> None:
    user = User.objects.create_user("op")
    row = exceptions.add(rule(), ALL, user, NOON)
    exceptions.change(row, rule(reason="another"), ALL, user, NOON)
    exceptions.end(row, None, NOON)
    entries = LogEntry.objects.order_by("pk").values_list("user__username", "action_flag")
    assert list(entries) == [("op", 1), ("op", 2), ("command-line", 3)]
    assert "a reason" in LogEntry.objects.earliest("pk").change_message
    assert not User.objects.get(username="command-line").is_active


def test_the_command_lines_entry_in_the_log_leaves_the_setup_open() -> None:
    add(rule())
    assert setup.is_open()
    User.objects.create_user("op")
    assert not setup.is_open()


def test_those_that_end_soon_are_told_first_to_end_first() -> None:
    for name, hours in (("b.test", 20), ("a.test", 10), ("later.test", 25)):
        add(rule(target=name, until=NOON + hours * HOUR))
    add(rule(target="endless.test", until=None))
    add(rule(target="coming.test", since=NOON + HOUR, until=NOON + 2 * HOUR))
    ending = exceptions.ending_within(exceptions.SOON, NOON)
    assert [row.target for row in ending] == ["a.test", "b.test"]


def test_uses_add_up_and_the_latest_never_moves_back() -> None:
    row, other = add(rule()), add(suffix())
    exceptions.note_uses({row.pk: 2, other.pk: 1}, NOON + HOUR)
    exceptions.note_uses({row.pk: 3, 12345: 1}, NOON)
    row.refresh_from_db()
    assert (row.uses, row.last_use) == (5, NOON + HOUR)


def test_a_thousand_counts_are_written(
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    rows = PolicyException.objects.bulk_create(
        PolicyException(scope="domain", target=f"d{at}.test", action="skip", reason="r", owner="o")
        for at in range(1000)
    )
    exceptions.note_uses({row.pk: 1 for row in rows}, NOON)
    assert PolicyException.objects.filter(uses=1, last_use=NOON).count() == 1000


def test_those_about_some_names_are_found_in_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    near = [
        rule(target="a.bücher.test"), suffix(".bücher.test"), suffix(".test"),
        by_mx("*.mail.test"), by_mx("mx.mail.test"), everything(),
    ]  # fmt: skip
    far = [rule(target="b.test"), suffix(".a.bücher.test"), by_mx("*.mail.example")]
    for each in (*near, *far):
        add(each)
    with django_assert_num_queries(1):
        found = exceptions.about([("a.xn--bcher-kva.test", ["mx.mail.test"])], NOON)
    assert {each.target for each in found.all} == {each.target for each in near}
    assert found.find("a.xn--bcher-kva.test", [], NOON)


def test_what_was_written_past_all_checks_does_not_count() -> None:
    kept = add(rule(target="fine.test"))
    for fields in (
        {"target": "no name"},
        {"target": "pin.test", "action": "pin", "policy_text": "nothing"},
        {"target": "level.test", "action": "require"},
        {"target": "match.test", "action": "require", "level": "secure", "match": {"a": 1}},
        {"target": "*.mx.test", "scope": "mx", "action": "require", "level": "encrypt"},
    ):
        given = {"scope": "domain", "action": "skip", "reason": "r", "owner": "o"} | fields
        PolicyException.objects.create(since=NOON, until=NOON + WEEK, **given)
    PolicyException.objects.create(
        scope="domain", target="Capital.TEST", action="skip", reason="", owner="", since=NOON
    )
    found = exceptions.current(NOON)
    assert {each.id for each in found.all} >= {kept.pk}
    assert {each.target for each in found.all} == {"fine.test", "capital.test"}


def test_the_database_itself_refuses_words_that_mean_nothing() -> None:
    for columns in (
        "'sideways', 'a.test', 'skip', ''",
        "'domain', 'a.test', 'dance', ''",
        "'domain', 'a.test', 'require', 'some'",
    ):
        with pytest.raises(Exception, match="exception_"), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO policies_policyexception (scope, target, action, level, reason, owner)"
                f" VALUES ({columns}, 'r', 'o')"
            )
        if connection.vendor == "postgresql":
            break  # the transaction is over


def test_a_pause_is_found_while_it_counts() -> None:
    row = add(everything(2))
    assert exceptions.pause(NOON) == row
    assert exceptions.pause(NOON + 2 * HOUR) is None
    exceptions.end(row, None, NOON + HOUR)
    assert exceptions.pause(NOON + HOUR) is None


def test_lapsed_ones_are_marked_as_ended_at_their_end() -> None:
    row, endless = add(rule()), add(rule(target="b.test", until=None))
    assert exceptions.close_lapsed(NOON + 2 * WEEK) == 1
    row.refresh_from_db()
    endless.refresh_from_db()
    assert (row.ended, endless.ended) == (NOON + WEEK, None)
    assert [each.state(NOON) for each in (row, endless)] == ["ended", "active"]


def test_those_that_ended_long_ago_are_forgotten_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exceptions, "BATCH", 2)
    for at in range(3):
        exceptions.end(add(rule(target=f"old{at}.test")), None, NOON + at * HOUR)
    exceptions.end(add(rule(target="late.test")), None, NOON + 2 * WEEK)
    add(rule(target="endless.test", until=None))
    later = NOON + exceptions.KEPT + 3 * HOUR
    exceptions.prune(NOON + exceptions.KEPT)
    assert PolicyException.objects.count() == 5
    exceptions.prune(later)
    assert PolicyException.objects.count() == 3, "so many as go at once, the oldest first"
    exceptions.prune(later)
    left = PolicyException.objects.values_list("target", flat=True)
    assert set(left) == {"late.test", "endless.test"}
    assert LogEntry.objects.filter(object_repr__contains="old0.test").count() == 2
