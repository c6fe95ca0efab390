"""How the tests are chosen, and what all of them share."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator
from importlib.util import find_spec
from typing import Any, TypeVar

import pytest
from django.test import TransactionTestCase
from pytest_django.fixtures import Settings

from policies import world
from tests import loopback
from tests.worlds import Script

# The lab's certificates come from packages that only `make test` installs.
if find_spec("tests.lab.pytest_plugin") and find_spec("trustme"):
    pytest_plugins = ["tests.lab.pytest_plugin"]

loopback.stay()

_REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"
_SLOW = os.environ.get("SLOW") == "1"
_ON_POSTGRES = "TEST_DATABASE_URL" in os.environ
_DATABASE_FIXTURES = frozenset({"db", "transactional_db", "live_server"})
_NOT_ON_POSTGRES = ("browser", "postfix", "slow")

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out slow tests unless SLOW=1, and on PostgreSQL what the database does not matter to.

    They are deselected, not skipped: nothing that the machine lacks keeps them from running.
    """
    chosen = [item for item in items if _is_chosen(item)]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not _is_chosen(item)])
        items[:] = chosen


def _is_chosen(item: pytest.Item) -> bool:
    if item.get_closest_marker("postgres") and not _ON_POSTGRES:
        return False
    if _ON_POSTGRES:
        is_apart = any(map(item.get_closest_marker, _NOT_ON_POSTGRES))
        return _uses_database(item) and not is_apart
    return _SLOW or not item.get_closest_marker("slow")


def _uses_database(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    if item.get_closest_marker("django_db") or _DATABASE_FIXTURES & set(item.fixturenames):
        return True
    return item.cls is not None and issubclass(item.cls, TransactionTestCase)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _strictly(report) if not hasattr(report, "wasxfail") else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _strictly((yield))


def _strictly(report: _Report) -> _Report:
    """The report; with REQUIRE_ALL=1 a skip in it has become a failure."""
    if _REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in spite of REQUIRE_ALL=1: {report.longrepr}"
    return report


@pytest.fixture
def change_environment(settings: Settings) -> Callable[..., None]:
    """Replaces fields of `settings.MTASTS` for the test: `change_environment(workers=3)`."""

    def change(**fields: Any) -> None:
        settings.MTASTS = dataclasses.replace(settings.MTASTS, **fields)

    return change


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """The world of the test: what DNS and policy hosts say, and the time."""
    script = Script()
    monkeypatch.setattr(world, "default", lambda: script.world)
    monkeypatch.setattr(world, "limited", lambda _slot: script.world)
    return script
