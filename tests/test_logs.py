"""Log lines: one each, and none that a name from outside can forge."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from mtastsweb.logs import KeyValueFormatter


def line(message: str, **facts: Any) -> str:
    """The line without its time."""
    record = logging.makeLogRecord(
        {"name": "policies.refresh", "levelname": "INFO", "msg": message, **facts}
    )
    time, _, rest = KeyValueFormatter().format(record).partition(" ")
    assert time.startswith("time=")
    assert time.endswith("Z")
    return rest


def test_facts_follow_the_message() -> None:
    assert line("policy fetched", domain="example.org", ttl=60) == (
        'level=info logger=policies.refresh msg="policy fetched" domain=example.org ttl=60'
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nlevel=error", r'"a\nlevel=error"'),
        ('"', r'"\""'),
        ("", '""'),
        ("bücher.example", r'"b\u00fccher.example"'),
        ("\x1b[2J", r'"\u001b[2J"'),
    ],
)
def test_what_is_not_plain_is_quoted(value: str, shown: str) -> None:
    assert line("seen", domain=value).endswith(f" domain={shown}")


def test_an_exception_stays_on_the_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        shown = line("failed", exc_info=sys.exc_info())
    assert "\n" not in shown
    assert "ValueError: two" in shown
