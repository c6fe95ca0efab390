"""The lists of the feed: filters, order, pages, and whatever else stands in a query."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from policies import outcomes
from policies.models import Alert, Fetch, PolicyException, PolicyRecord, PolicyVersion
from policies.outcomes import Seen
from policies.tlsrpt.result import PolicyType, Result, ResultPolicy
from tests.api.conftest import Get
from tests.pages import making

pytestmark = pytest.mark.django_db

LISTS = ("policies", "fetches", "outcomes", "alerts", "exceptions", "trouble")


def some_of_each(count: int) -> None:
    now = timezone.now()
    for at in range(count):
        name = f"d{at:02}.example"
        making.record(name, last_use=now - timedelta(minutes=at), failures=5)
        Fetch.objects.create(domain=name, source="lookup", state="done", outcome="fetched")
        Alert.objects.create(
            domain=name, kind="record-gone", severity="warning", state="suspected",
            found_by="lookup", opened_at=now, last_seen=now,
        )  # fmt: skip
        PolicyException.objects.create(
            scope="domain", target=name, action="skip", reason="r", owner="o",
            since=now, until=now + timedelta(days=60),
        )  # fmt: skip
    outcomes.record(
        Seen(Result(ResultPolicy(PolicyType.STS, f"d{at:02}.example"), ()), now, at + 1,
             domain=f"d{at:02}.example")
        for at in range(count)
    )  # fmt: skip


def key(item: dict[str, Any]) -> Any:
    return item.get("id") or item["domain"]


@pytest.mark.parametrize("name", LISTS)
def test_pages_follow_each_other_and_hold_all(name: str, get: Get) -> None:
    some_of_each(7)
    whole = [key(item) for item in get(f"/api/v1/{name}/").json()["items"]]
    assert len(whole) == 7
    found, address = [], f"/api/v1/{name}/?limit=3"
    while address:
        page = get(address).json()
        found.append([key(item) for item in page["items"]])
        address = page["next"]
    assert [len(page) for page in found] == [3, 3, 1]
    assert [each for page in found for each in page] == whole


@pytest.mark.parametrize("name", LISTS)
def test_pages_lead_back(name: str, get: Get) -> None:
    some_of_each(7)
    first = get(f"/api/v1/{name}/?limit=3").json()
    second = get(first["next"]).json()
    back = get(second["previous"]).json()
    assert (back["items"], back["previous"]) == (first["items"], None)
    assert back["next"] == first["next"]
    third = get(second["next"]).json()
    assert third["next"] is None
    assert get(third["previous"]).json()["items"] == second["items"]


def test_versions_are_paged_both_ways_each_beside_the_one_before(get: Get) -> None:
    some_of_each(1)
    now = timezone.now()
    for at in range(7):
        PolicyVersion.objects.create(
            domain="d00.example", record_id=str(at), policy_text="same", digest="a" * 64,
            mode="enforce", found_by="lookup", first_seen=now + timedelta(minutes=at),
        )  # fmt: skip
    address = "/api/v1/policies/d00.example/versions/?limit=3"
    pages = [get(address).json()]
    while following := pages[-1]["next"]:
        pages.append(get(following).json())
    ids = [[item["record_id"] for item in page["items"]] for page in pages]
    assert ids == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    told = [item["remarkable"] for page in pages for item in page["items"]]
    assert told == ["id changed, text did not"] * 6 + [None]
    assert get(pages[2]["previous"]).json()["items"] == pages[1]["items"]
    PolicyRecord.objects.all().delete()
    assert len(get("/api/v1/policies/d00.example/versions/").json()["items"]) == 7
    assert get("/api/v1/policies/d01.example/versions/").status_code == 404
    assert get("/api/v1/policies/no%20name/versions/").status_code == 404


@pytest.mark.parametrize("name", ["alerts", "exceptions"])
def test_alerts_and_exceptions_of_one_domain(name: str, get: Get) -> None:
    some_of_each(3)
    (item,) = get(f"/api/v1/{name}/", domain="D01.Example.").json()["items"]
    assert (item.get("domain") or item["target"]) == "d01.example"
    assert not get(f"/api/v1/{name}/", domain="other.example").json()["items"]


def test_filters_go_along_with_the_pages(get: Get) -> None:
    some_of_each(7)
    making.backing_off("other.example")
    page = get("/api/v1/policies/?mode=enforce&sort=domain&limit=4").json()
    assert "mode=enforce" in page["next"]
    rest = get(page["next"]).json()
    assert [item["domain"] for item in rest["items"]] == [f"d{at:02}.example" for at in (4, 5, 6)]


def test_policies_are_filtered_as_in_the_list(get: Get) -> None:
    making.record("münchen.example")
    making.backing_off("other.example")
    found = get("/api/v1/policies/", q="xn--mnchen-3ya.example").json()["items"]
    assert [(each["domain"], each["domain_unicode"]) for each in found] == [
        ("xn--mnchen-3ya.example", "münchen.example")
    ]
    (backing_off,) = get("/api/v1/policies/", state="backoff").json()["items"]
    assert (backing_off["mode"], backing_off["backoff"]) == (None, True)


def test_times_are_in_utc_and_to_the_second(get: Get) -> None:
    making.record("a.example")
    (item,) = get("/api/v1/policies/").json()["items"]
    assert item["valid_end"].endswith("Z")
    assert len(item["valid_end"]) == len("2026-03-01T12:00:00Z")


@pytest.mark.parametrize(
    ("path", "parameter", "words"),
    [
        ("policies/?mode=enforced", "mode", "Accepted: enforce, testing, none"),
        ("policies/?modus=enforce", "modus", "There is no parameter"),
        ("policies/?mode=enforce&mode=none", "mode", "more than once"),
        ("policies/?limit=0", "limit", "1 to 500"),
        ("policies/?limit=501", "limit", "1 to 500"),
        ("policies/?limit=ten", "limit", "1 to 500"),
        ("policies/?limit=٣", "limit", "1 to 500"),
        ("policies/?after=nothing", "after", "no place in this list"),
        ("policies/?before=nothing", "before", "no place in this list"),
        ("policies/?q=%00", "q", "NUL"),
        ("fetches/?after=1.2", "after", "no place"),
        ("outcomes/?after=2026-13-01,1,1", "after", "no place"),
        ("exceptions/?after=x", "after", "no place"),
        ("alerts/?kind=gone", "kind", "Accepted: record-gone"),
        ("exceptions/?before=x", "before", "no place"),
        ("trouble/?before=x", "before", "no place"),
        ("trouble/?after=x", "after", "no place"),
        ("status/?limit=1", "limit", "There is no parameter"),
    ],
)
def test_a_wrong_parameter_is_named(path: str, parameter: str, words: str, get: Get) -> None:
    answer = get(f"/api/v1/{path}")
    assert answer.status_code == 400
    assert answer.json()["parameter"] == parameter
    assert words in answer.json()["detail"]


def test_alerts_and_exceptions_that_are_over_are_shown_when_asked_for(get: Get) -> None:
    some_of_each(2)
    now = timezone.now()
    Alert.objects.filter(domain="d00.example").update(closed_at=now, closed_because="well")
    PolicyException.objects.filter(target="d00.example").update(ended=now)
    for name in ("alerts", "exceptions"):
        counts = [len(get(f"/api/v1/{name}/", state=state).json()["items"]) for state in
                  ("open", "all")]  # fmt: skip
        assert counts == [1, 2]


quickly = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
names = st.sampled_from(
    ["q", "mode", "state", "outcome", "used", "sort", "after", "before", "limit", "domain", "type",
     "since", "source", "failures", "days", "kind", "x"]
)  # fmt: skip


@quickly
@given(
    st.sampled_from(LISTS),
    st.dictionaries(
        names, st.text(max_size=60) | st.sampled_from(["1", "WzEsMiwzLDRd"]), max_size=3
    ),
)
def test_any_query_is_answered(get: Get, name: str, query: dict[str, str]) -> None:
    encoded = {key: value.encode("utf-8", "replace") for key, value in query.items()}
    answer = get(f"/api/v1/{name}/", **encoded)
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert answer.json()["parameter"] in query


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("policies", 1),
        ("fetches", 1),
        ("outcomes", 6),
        ("alerts", 1),
        ("exceptions", 1),
        ("trouble", 6),
    ],
)
@pytest.mark.parametrize("count", [2, 20])
def test_a_list_takes_a_fixed_number_of_queries(
    path: str, queries: int, count: int, get: Get,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    some_of_each(count)
    get(f"/api/v1/{path}/")  # the first notes the use of the token
    assert User.objects.filter(username="viewer").exists()
    with django_assert_num_queries(3 + queries):  # the token, what its owner may see
        assert get(f"/api/v1/{path}/").status_code == 200
