"""docs/api.md and the feed tell the same: each field, each parameter, each example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mtastsweb.environment import BASE_DIR
from policies import fetch_listing, listing, outcome_listing
from policies.alerts.kinds import Kind as AlertKind
from policies.alerts.kinds import Severity
from policies.models import PolicyRecord
from policies.trouble import Kind
from tests.api.conftest import DOMAIN, Get

pytestmark = pytest.mark.django_db

DOCS = (BASE_DIR / "docs" / "api.md").read_text()
SECTIONS = dict(re.findall(r"^## GET (\S+)\n(.*?)(?=^## |\Z)", DOCS, re.DOTALL | re.MULTILINE))
EXAMPLES = re.findall(r'^    curl .*?"?http://127\.0\.0\.1:8000([^"\s]+)"?$', DOCS, re.MULTILINE)

OPEN = ("counts", "items[].evidence")
"""Objects whose keys are words of their own, not fields."""


def documented(section: str, table: str) -> set[str]:
    """The first column of a section's table with this head."""
    rows = re.search(rf"^\| {table} \|.*?\n\|---.*?\n(.*?)\n\n", section, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^\| `([^`]+)`", rows[1], re.MULTILINE)) if rows else set()


def fields(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields, `items[].domain` for one in a list."""
    if isinstance(value, dict) and path not in OPEN:
        for name, inner in value.items():
            yield (here := f"{path}.{name}" if path else name)
            yield from fields(inner, here)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield from fields(inner, f"{path}[]")


@pytest.mark.parametrize("address", SECTIONS)
@pytest.mark.usefixtures("everything")
def test_each_field_is_documented_and_each_documented_one_is_there(address: str, get: Get) -> None:
    told = documented(SECTIONS[address], "field")
    if address.endswith("DOMAIN/"):
        items = documented(SECTIONS["/api/v1/policies/"], "field")
        told |= {field[8:] for field in items if field.startswith("items[].")}
    answer = get(address.replace("DOMAIN", DOMAIN))
    assert answer.status_code == 200, answer.content
    found = set(fields(answer.json()))
    if address == "/api/v1/":
        found = {field for field in found if "." not in field}
    if address == "/api/v1/status/" and not answer.json()["checks"]:
        told = {field for field in told if not field.startswith("checks[]")}
    assert found == told


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.usefixtures("everything")
def test_each_example_works(example: str, get: Get) -> None:
    parts = urlsplit(example)
    assert get(parts.path, **dict(parse_qsl(parts.query))).status_code == 200


def test_there_is_an_example_of_each_resource(get: Get) -> None:
    shown = {urlsplit(example).path for example in EXAMPLES}
    assert shown == {address.replace("DOMAIN", DOMAIN) for address in SECTIONS}
    named = get("/api/v1/").json()["resources"].values()
    of_one = f"/api/v1/policies/{DOMAIN}/"
    assert set(named) | {"/api/v1/", of_one, f"{of_one}versions/"} == shown


@pytest.mark.parametrize("address", SECTIONS)
def test_each_parameter_is_documented(address: str, get: Get) -> None:
    answer = get(address.replace("DOMAIN", DOMAIN), nonsense="1")
    assert answer.status_code == 400
    known = answer.json()["detail"].partition("Known: ")[2].rstrip(".").split(", ")
    told = documented(SECTIONS[address], "parameter")
    assert set(known) - {"after", "before", "limit", "none"} == told


@pytest.mark.parametrize(
    ("address", "parameter", "values"),
    [
        ("policies", "mode", [choice.value for choice in listing.MODES]),
        ("policies", "state", [choice.value for choice in listing.STATES]),
        ("policies", "used", [choice.value for choice in listing.USED]),
        ("policies", "sort", list(listing.SORTS)),
        ("fetches", "source", [choice.value for choice in fetch_listing.SOURCES]),
        ("fetches", "state", [choice.value for choice in fetch_listing.STATES]),
        ("fetches", "outcome", [choice.value for choice in fetch_listing.OUTCOMES]),
        ("fetches", "since", [choice.value for choice in fetch_listing.SINCE]),
        ("outcomes", "source", [choice.value for choice in outcome_listing.SOURCES]),
        ("outcomes", "days", [choice.value for choice in outcome_listing.SPANS]),
        ("trouble", "kind", list(Kind)),
        ("alerts", "kind", list(AlertKind)),
        ("alerts", "severity", list(Severity)),
    ],
)
def test_each_value_of_a_parameter_is_documented_and_accepted(
    address: str, parameter: str, values: list[str], get: Get
) -> None:
    section = SECTIONS[f"/api/v1/{address}/"]
    row = next(line for line in section.splitlines() if line.startswith(f"| `{parameter}` |"))
    assert set(re.findall(r"`([^`]+)`", row)) - {parameter} == set(map(str, values))
    for value in values:
        assert get(f"/api/v1/{address}/", **{parameter: value}).status_code == 200


def test_the_example_of_an_error_is_what_comes(get: Get) -> None:
    import json

    shown = re.search(r"```json\n(.*?)```", DOCS, re.DOTALL)
    assert shown
    answer = get("/api/v1/policies/", mode="enforced")
    assert answer.json() == json.loads(shown[1])
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_domain_without_anything_has_the_same_fields(get: Get, everything: PolicyRecord) -> None:
    from tests.pages import making

    making.backing_off("bare.example", failure_type="", failure_reason="")
    bare = get("/api/v1/policies/bare.example/").json()
    assert bare.keys() == get(f"/api/v1/policies/{DOMAIN}/").json().keys()
    nothing = ("mode", "last_use", "edited", "outcome", "certificate", "mail_hosts", "failed_fetch")
    assert {bare[name] for name in nothing} == {None}
