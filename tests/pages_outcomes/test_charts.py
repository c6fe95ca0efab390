"""The chart by day: heights that tell the numbers, whatever they are."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from policies.outcomes.days import Day, Numbers
from policies.templatetags.charts import HEIGHT, SHORTEST, TOP, WIDTH, Chart, day_chart

DAY = date(2026, 3, 1)


def chart(*numbers: Numbers) -> Chart:
    days = [Day(DAY + timedelta(days=at), one) for at, one in enumerate(numbers)]
    return day_chart(days, "Lookups by day")["chart"]


def test_success_stands_below_fallback_and_failure() -> None:
    (bar,) = chart(Numbers(50, 30, 20)).bars
    assert [part.kind for part in bar.parts] == ["ok", "warn", "bad"]
    tops = [part.y for part in bar.parts]
    assert tops == sorted(tops, reverse=True)


def test_twice_as_many_are_twice_as_high() -> None:
    one, two = chart(Numbers(success=500), Numbers(success=1000)).bars
    assert two.parts[0].height == pytest.approx(2 * one.parts[0].height, abs=0.02)


def test_one_among_millions_can_be_seen() -> None:
    (bar,) = chart(Numbers(5_000_000, 1, 1)).bars
    assert [part.height for part in bar.parts[1:]] == [SHORTEST, SHORTEST]


@pytest.mark.parametrize("days", [1, 7, 30, 90])
def test_nothing_sticks_out(days: int) -> None:
    drawn = chart(*[Numbers(at * 1000, at, 1) for at in range(days)])
    for bar in drawn.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert all(TOP <= part.y < part.y + part.height <= HEIGHT for part in bar.parts)


def test_days_without_lookups_have_no_bar_and_no_days_no_chart() -> None:
    assert chart(Numbers(), Numbers()).bars[0].parts == ()
    assert chart().bars == ()
