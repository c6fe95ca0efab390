"""`/fetches/`: the log of what ran."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from policies import paging
from policies.fetch_listing import Filters
from policies.models import Fetch
from policies.paging import Place
from tests.pages import making, plans
from tests.pages.conftest import As, someone

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def viewer(as_: As) -> Client:
    return as_("viewer")


def fetch(domain: str = "example.org", ago: float = 0, **fields: Any) -> Fetch:
    """A fetch of a mail server's lookup that worked, asked for so many seconds ago."""
    values = {
        "source": Fetch.Source.LOOKUP,
        "state": Fetch.State.DONE,
        "outcome": Fetch.Outcome.FETCHED,
        "queued_at": NOW - timedelta(seconds=ago),
    }
    return Fetch.objects.create(domain=domain, **(values | fields))


def failed(domain: str, ago: float = 0, **fields: Any) -> Fetch:
    values = {
        "outcome": Fetch.Outcome.FAILED,
        "failure_type": "sts-webpki-invalid",
        "failure_reason": "certificate-expired",
        "message": "certificate has expired",
    }
    return fetch(domain, ago, **(values | fields))


def listed(query: str = "", now: datetime = NOW) -> list[str]:
    """The domains of all pages, one page after the other, three rows each."""
    filters, after, found = Filters.read(QueryDict(query)), "", []
    while True:
        page = paging.page(filters.lists(now), after=after, size=3, moment="queued_at")
        found += [row.domain for row in page.rows]
        after = page.after
        if not after:
            return found


def test_shows_who_asked_how_it_ended_and_what_failed(viewer: Client) -> None:
    making.record("cached.example")
    begun = NOW - timedelta(seconds=3)
    fetch("cached.example", 5, changed=True, started_at=begun, finished_at=NOW, record_id="42")
    failed("broken.example", source="operator", requested_by=someone("operator"))
    page = viewer.get("/fetches/").content.decode()
    for words in (
        'href="/policies/cached.example/"',
        "mail server&#x27;s lookup",
        f"{NOW - timedelta(seconds=5):%Y-%m-%d %H:%M:%S} UTC",
        ">changed<",
        "3 s",
        "42",
        "operator operator",
        "policy host&#x27;s certificate has expired",
        "sts-webpki-invalid: certificate-expired",
    ):
        assert words in page, words
    assert 'href="/policies/broken.example/"' not in page


def test_open_ones_come_first_then_failures_then_the_rest() -> None:
    fetch("fine.example", 1)
    fetch("waits.example", 500, state="queued", outcome="", source="operator")
    fetch("none.example", 2, outcome="no-record")
    failed("broken.example", 300)
    fetch("lost.example", 400, outcome="lost")
    fetch("gone.example", 100, outcome="removed")
    assert [name.partition(".")[0] for name in listed()] == [
        "waits", "broken", "lost", "gone", "none", "fine",
    ]  # fmt: skip
    assert [name.partition(".")[0] for name in listed("sort=newest")] == [
        "fine", "none", "gone", "broken", "lost", "waits",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("source=operator", ["b"]),
        ("source=lookup", ["c", "a"]),
        ("outcome=failed", ["c"]),
        ("outcome=fetched", ["a"]),
        ("state=open", ["b"]),
        ("state=queued", ["b"]),
        ("state=done", ["c", "a"]),
        ("state=queued&outcome=failed", []),
        ("source=lookup&outcome=failed", ["c"]),
        ("domain=a.example", ["a"]),
        ("domain=A.Example.", ["a"]),
        ("domain=c.example&outcome=failed&source=lookup", ["c"]),
        ("domain=b.example&state=queued&sort=newest", ["b"]),
        ("domain=example", []),
        ("since=1h", ["b", "a"]),
        ("since=7d", ["b", "c", "a"]),
        ("source=nonsense&outcome=x&since=y&sort=z&state=0", ["b", "c", "a"]),
    ],
)
def test_filters(query: str, found: list[str]) -> None:
    fetch("a.example", 10)
    fetch("b.example", 20, state="queued", outcome="", source="operator")
    failed("c.example", 90_000)
    assert [name.partition(".")[0] for name in listed(query)] == found


def test_the_tile_of_open_fetches_leads_to_them(viewer: Client) -> None:
    fetch("ended.example")
    fetch("waits.example", state="queued", outcome="", source="operator")
    fetch("runs.example", state="running", outcome="", source="operator")
    tile = re.search(r'href="([^"]*)"><b>≈ 2</b> open fetches', get(viewer, "/policies/"))
    assert tile is not None
    html = get(viewer, tile[1])
    assert ("waits.example" in html, "runs.example" in html) == (True, True)
    assert "ended.example" not in html


def get(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_an_international_name_is_found_in_both_forms() -> None:
    fetch("bücher.example")
    assert listed("domain=xn--bcher-kva.example") == listed("domain=BÜCHER.example")
    assert listed("domain=xn--bcher-kva.example") == ["bücher.example"]


@pytest.mark.parametrize("query", ["", "sort=newest", "source=lookup", "outcome=fetched"])
def test_paging_forth_and_back_shows_every_row_once(query: str) -> None:
    same = NOW - timedelta(seconds=60)
    for number in range(11):
        outcome = ("failed", "fetched", "lost")[number % 3]
        fetch(f"d{number}.example", queued_at=same, outcome=outcome)
    lists = Filters.read(QueryDict(query)).lists(NOW)
    forth, after = [], ""
    pages = []
    while True:
        page = paging.page(lists, after=after, size=3, moment="queued_at")
        pages.append([row.pk for row in page.rows])
        forth += pages[-1]
        if not page.after:
            break
        after = page.after
    assert len(set(forth)) == len(forth) == len(listed(query))
    for expected in reversed(pages[:-1]):
        page = paging.page(lists, before=page.before, size=3, moment="queued_at")
        assert [row.pk for row in page.rows] == expected
    assert not page.before
    assert page.after


@pytest.mark.parametrize(
    "query",
    [
        "after=x", "after=1.2", "after=1.2.x", "before=9.1.1", "after=0.99999999999999999999.1",
        "after=-1.1.1", "before=0.١.1", "after=" + "1" * 9000, "domain=%00", "domain=*",
        "domain=" + "a" * 9000, "since=1h&since=7d", "sort=newest&after=3.1.1", "page=-1",
    ],
)  # fmt: skip
def test_whatever_stands_in_the_query_a_page_comes(viewer: Client, query: str) -> None:
    fetch()
    assert viewer.get(f"/fetches/?{query}").status_code == 200


def test_a_place_reads_back_as_it_was_written() -> None:
    place = Place(3, NOW, 17)
    assert Place.read(str(place)) == place


def test_an_open_row_asks_for_itself_until_it_has_ended(viewer: Client) -> None:
    row = fetch(state="queued", outcome="", source="operator")
    address = f"/fetches/{row.pk}/row/"
    page = viewer.get("/fetches/").content.decode()
    assert f'hx-get="{address}"' in page
    assert '<meta http-equiv="refresh"' in page
    assert "queued" in viewer.get(address).content.decode()
    Fetch.objects.update(state="done", outcome="fetched")
    ended = viewer.get(address).content.decode()
    assert "hx-get" not in ended
    assert "fetched" in ended
    Fetch.objects.all().delete()
    assert viewer.get(address).content == b""


def test_an_empty_log_and_an_empty_answer_say_why(viewer: Client) -> None:
    assert "Nothing was fetched yet" in viewer.get("/fetches/").content.decode()
    assert "No fetch matches" in viewer.get("/fetches/?outcome=lost").content.decode()


def test_hostile_text_is_text(viewer: Client) -> None:
    failed("<b>x</b>", message="<script>alert(1)</script>", failure_reason="<img src=x>")
    page = viewer.get("/fetches/").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "<b>x" not in page


@pytest.mark.parametrize("query", ["", "?sort=newest", "?source=lookup&outcome=failed"])
def test_a_page_asks_no_more_for_more_rows(
    viewer: Client, query: str, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    counts = []
    for many in (1, 60):
        for number in range(many):
            failed(f"d{many}-{number}.example")
        with django_assert_max_num_queries(20) as asked:
            viewer.get(f"/fetches/{query}")
        counts.append(len(asked))
    assert counts[1] <= counts[0] <= 15  # session, user, permissions, six lists, pages, jobs


@pytest.mark.parametrize(
    "query",
    [
        "", "sort=newest", "since=1d", "source=refresh", "source=refresh&sort=newest",
        "source=refresh&outcome=lost", "outcome=lost", "state=queued", "state=open",
        "source=lookup&since=7d",
        "domain=d1.example", "source=refresh&state=running",
        "domain=d1.example&source=refresh&outcome=failed",
    ],
)  # fmt: skip
def test_no_page_reads_or_sorts_the_whole_log(query: str) -> None:
    for asked in Filters.read(QueryDict(query)).lists(NOW):
        place = str(Place(0, NOW, 1))
        for rows in (
            asked,
            asked.filter(paging.beyond(Place.read(place), back=False, moment="queued_at")),
        ):
            with CaptureQueriesContext(connection) as captured:
                list(rows.order_by("-queued_at", "-pk")[:50])
            plan = plans.of(captured, "policies_fetch")
            assert not plan.reads_a_whole_table, plan
            assert not plan.sorts, plan
            if "domain" in query:
                assert any("fetch_by_domain" in step for step in plan.steps), plan
