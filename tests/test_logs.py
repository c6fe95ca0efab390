"""Log lines: one each, and none that a name from outside can forge."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from typing import Any

import pytest

from mtastsweb import requestid
from mtastsweb.environment import LogFormat
from mtastsweb.logs import JSONFormatter, KeyValueFormatter, configuration


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
    assert line("seen", host=value).endswith(f" host={shown}")


@pytest.mark.parametrize(
    ("domain", "shown"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("no domain: ü", r'"no domain: \u00fc"'),
        (None, "None"),
    ],
)
def test_domains_stand_in_a_labels(domain: object, shown: str) -> None:
    assert line("refresh broke", domain=domain).endswith(f" domain={shown}")
    record = logging.makeLogRecord({"msg": "refresh broke", "domain": domain})
    assert json.loads(JSONFormatter().format(record))["domain"] == json.loads(
        shown if shown.startswith('"') else f'"{shown}"'
    )


def test_an_exception_stays_on_the_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        shown = line("failed", exc_info=sys.exc_info())
    assert "\n" not in shown
    assert "ValueError: two" in shown


def test_json_has_one_object_a_line_in_which_numbers_are_numbers() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": "a\nb", "ttl": 60, "share": 0.5, "on": True,
         "odd": float("nan"), "host": "b\u00fccher.example", "what": ["x"]}
    )  # fmt: skip
    shown = JSONFormatter().format(record)
    assert "\n" not in shown
    assert shown.isascii()
    said = json.loads(shown)
    del said["time"]
    assert said == {
        "level": "info", "logger": "n", "msg": "a\nb", "ttl": 60, "share": 0.5, "on": True,
        "odd": "nan", "host": "b\u00fccher.example", "what": "['x']",
    }  # fmt: skip


def test_a_line_says_which_request_it_belongs_to() -> None:
    assert "request_id" not in line("seen")
    with requestid.bound("some-request"):
        assert line("seen").endswith(" request_id=some-request")


@pytest.mark.parametrize(
    ("form", "formatter"),
    [(LogFormat.JSON, JSONFormatter), (LogFormat.KEY_VALUE, KeyValueFormatter)],
)
def test_the_setting_chooses_the_form(form: LogFormat, formatter: type) -> None:
    logging.config.DictConfigurator(configuration(form))  # type: ignore[no-untyped-call]
    chosen = configuration(form)["handlers"]["stderr"]["formatter"]
    assert configuration(form)["formatters"][chosen]["()"] == f"mtastsweb.logs.{formatter.__name__}"


def test_the_setup_token_is_in_no_line_of_either_form() -> None:
    record = logging.makeLogRecord({"msg": "request", "path": "/setup/s3cret-token/"})
    for formatter in (JSONFormatter(), KeyValueFormatter()):
        assert "s3cret" not in formatter.format(record)
