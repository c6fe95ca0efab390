"""The model of the refresh: deterministic, and of one mind with the product."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from bench import model
from bench.model import DAY, HOUR, STEP, Machine, Scenario, caught_up, run
from bench.model_report import Line, plot
from policies import refresh, rows
from policies.decide import BACKOFF

SMALL = Scenario(1_000_000, sample=400, days=1.0)


def fetched(scenario: Scenario) -> float:
    """Fetches a second, in the middle."""
    return sum(step.fetched for step in run(scenario)) / (scenario.days * DAY)


def test_says_the_same_each_time_and_leaves_chance_to_others() -> None:
    before = random.getstate()
    first = run(SMALL)
    assert run(SMALL) == first
    assert random.getstate() == before
    assert run(replace(SMALL, seed=2)) != first


def test_fetches_as_often_as_the_product_plans() -> None:
    """A row's mean time to its next refresh, by the product's own plan, is the model's rate."""
    dice = random.Random(3)
    ages = dice.choices(*zip(*model.MAX_AGES, strict=True), k=2000)
    spans = [rows.refresh_due(age, model.START) - model.START for age in ages]
    planned = SMALL.policies * sum(1 / span.total_seconds() for span in spans) / len(spans)
    unbound = Machine(rate=10_000, threads=10_000, per_address=10_000, cpu=1e-6, hanging=0.0)
    easy = replace(SMALL, machine=unbound, days=3.0, failing=0.0)
    assert fetched(easy) == pytest.approx(planned, rel=0.05)


def test_catches_up_at_the_rate_that_a_tick_allows() -> None:
    machine = Machine(rate=100, hanging=0.0)
    busy = run(replace(SMALL, machine=machine, off=12 * HOUR, days=1.5, biggest=0.0))
    share = refresh.CLAIMING / timedelta(seconds=model.TICK)
    assert max(step.rate for step in busy) == pytest.approx(100 * share, rel=0.1)
    assert not any(step.fetched for step in busy if 6 * HOUR <= step.at < 18 * HOUR)


def test_a_longer_outage_takes_longer_to_catch_up() -> None:
    times = [
        caught_up(run(replace(SMALL, off=hours * HOUR, days=3.0)), (6 + hours) * HOUR)
        for hours in (2, 24)
    ]
    assert times[0] is not None
    assert times[1] is not None
    assert times[0] < times[1]


def test_failures_are_tried_again_in_a_spread() -> None:
    """By the product's plan: no two thousand failures come back in the same minute."""
    end = model.START + timedelta(days=7)
    dues = [rows.retry_due(4, end, model.START) for _ in range(2000)]
    assert max(dues) - min(dues) > 0.15 * 8 * BACKOFF
    failing = run(replace(SMALL, failing=0.5))
    assert sum(step.fetched for step in failing) > sum(step.fetched for step in run(SMALL))


def test_one_provider_s_address_bounds_what_is_fetched_from_it() -> None:
    all_there = replace(SMALL, biggest=1.0, imported=True, machine=Machine(per_address=1))
    each = Machine(per_address=1).at_one_address
    assert max(step.rate for step in run(all_there)) <= 1.1 * each + SMALL.policies / 400 / STEP


def test_a_plot_is_whole_and_tells_lines_apart() -> None:
    lines = [Line("one & two", [(0, 0), (1, 3)]), Line("three", [(0, 3), (1, 0)], "8 4")]
    text = plot("A <title>", "hours", "%", lines)
    root = ElementTree.fromstring(text)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "one &amp; two" in text
    assert 'stroke-dasharray="8 4"' in text
