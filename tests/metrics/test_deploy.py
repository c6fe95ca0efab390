"""The dashboard and the alert rules: every metric and label value that they ask for exists."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from mtastsweb.environment import BASE_DIR
from tests.metrics.documented import documented, sample_names
from tests.needs import find_program, needs_program

RULES = BASE_DIR / "deploy" / "prometheus" / "mtastsweb.yml"
DASHBOARD = BASE_DIR / "deploy" / "grafana" / "mtastsweb.json"

_METRIC = re.compile(r"\bmtasts_[a-z_]+\b")
_SELECTOR = re.compile(r"(mtasts_[a-z_]+)\{([^}]*)\}")
_MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
OF_PROMETHEUS = {"instance", "job"}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield RULES.read_text()


def matchers() -> Iterator[tuple[str, str, str]]:
    """Each metric, label and value that is asked for."""
    for expression in expressions():
        for metric, inside in _SELECTOR.findall(expression):
            for label, _, value in _MATCHER.findall(inside):
                for each in value.split("|"):
                    yield metric, label, each


def documented_labels(metric: str) -> set[str]:
    name = re.sub("_(bucket|count|sum)$", "", metric)
    (found,) = (each for each in documented() if each.name in (metric, name))
    return set(re.findall("`([^`]+)`", found.labels))


@pytest.mark.parametrize("expression", list(expressions()), ids=lambda text: text[:40])
def test_each_metric_exists(expression: str) -> None:
    asked = set(_METRIC.findall(expression))
    assert asked
    assert asked <= sample_names()


def test_each_label_and_value_exists() -> None:
    asked = list(matchers())
    assert len(asked) > 30
    for metric, label, value in asked:
        if label not in OF_PROMETHEUS:
            assert {label, value} <= documented_labels(metric) | {"metrics"}, (metric, label, value)


def test_each_metric_is_on_the_dashboard() -> None:
    shown = {name for panel in expressions() for name in _METRIC.findall(panel)}
    for metric in documented():
        assert metric.samples & shown or metric.name == "mtasts_build_info", metric.name


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_each_panel_says_what_it_shows() -> None:
    for panel in panels():
        assert panel["type"] == "row" or panel["description"]


@needs_program("promtool", apt="prometheus")
def test_prometheus_takes_the_rules() -> None:
    program = find_program("promtool")
    assert program is not None
    done = subprocess.run(
        [program, "check", "rules", "--lint=all", "--lint-fatal", RULES],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "12 rules found" in done.stdout
