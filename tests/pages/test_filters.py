"""Searching and filtering the list, and whether the database has an index for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from policies import listing, summary
from policies.models import PolicyException, PolicyRecord
from tests.pages import making, plans
from tests.pages.conftest import As
from tests.worlds import NONE, TESTING

pytestmark = pytest.mark.django_db


def found(**query: str) -> set[str]:
    filters = listing.Filters.read(query)
    return set(making.domains(filters.apply(PolicyRecord.objects.all(), timezone.now())))


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("", {"münchen.example", "example.org", "sub.example.org", "100%.example"}),
        ("   ", {"münchen.example", "example.org", "sub.example.org", "100%.example"}),
        ("example.org", {"example.org", "sub.example.org"}),
        ("EXAMPLE.org.", {"example.org", "sub.example.org"}),
        ("=example.org", {"example.org"}),
        ("= Example.ORG", {"example.org"}),
        ("=xample.org", set()),
        ("exam*", {"example.org"}),
        ("EXAM*", {"example.org"}),
        ("example.org*", {"example.org"}),
        ("*", {"münchen.example", "example.org", "sub.example.org", "100%.example"}),
        ("=", set()),
        ("xn--mnchen-3ya.example", {"münchen.example"}),
        ("=XN--MNCHEN-3YA.example", {"münchen.example"}),
        ("MÜNCHEN", {"münchen.example"}),
        ("münch*", {"münchen.example"}),
        ("%", {"100%.example"}),
        ("_", set()),
        ("100%*", {"100%.example"}),
        ("\0example.org", {"example.org", "sub.example.org"}),
        ("\\", set()),
        ("'", set()),
    ],
)
def test_a_search_finds_what_was_meant(text: str, domains: set[str]) -> None:
    for name in ("münchen.example", "example.org", "sub.example.org", "100%.example"):
        making.record(name)
    assert found(q=text) == domains


def test_each_state_is_found() -> None:
    now = timezone.now()
    hour = timedelta(hours=1)
    making.record("well.example", valid_end=now + timedelta(days=7), last_use=now)
    making.record("soon.example", valid_end=now + hour, last_use=now)
    making.record("ended.example", valid_end=now - hour, last_use=now)
    making.backing_off("off.example", last_use=now)
    making.record(
        "failing.example", valid_end=now + timedelta(days=7), last_use=now,
        outcome_type="sts", outcome_failure="sts-webpki-invalid",
    )  # fmt: skip
    making.record("edited.example", valid_end=now + timedelta(days=7), edited=now, last_use=now)
    making.record("unused.example", valid_end=now + timedelta(days=7))
    making.record("weak.example", valid_end=now + timedelta(days=7), last_use=now, open_alerts=1)
    making.record("bücher.example", valid_end=now + timedelta(days=7), last_use=now)
    for since, until in ((now - hour, now + hour), (now - 2 * hour, now - hour)):
        target = "bücher.example" if until > now else "well.example"
        PolicyException.objects.create(
            scope="domain", target=target, action="skip", since=since, until=until
        )
    lasting = {
        f"{name}.example" for name in ("well", "failing", "edited", "unused", "weak", "bücher")
    }
    assert {choice.value: found(state=choice.value) for choice in listing.STATES} == {
        "held": lasting | {"soon.example", "ended.example"},
        "valid": lasting | {"soon.example"},
        "expiring": {"soon.example"},
        "expired": {"ended.example"},
        "backoff": {"off.example"},
        "failing": {"failing.example"},
        "edited": {"edited.example"},
        "alert": {"weak.example"},
        "exception": {"bücher.example"},
        "unused": {"unused.example"},
    }


def test_a_row_that_backs_off_has_no_mode() -> None:
    making.record("none.example", NONE)
    making.record("testing.example", TESTING)
    making.record("enforce.example")
    making.backing_off("off.example")
    assert {mode: found(mode=mode) for mode in ("enforce", "testing", "none")} == {
        "enforce": {"enforce.example"},
        "testing": {"testing.example"},
        "none": {"none.example"},
    }


def test_filters_narrow_each_other() -> None:
    making.record("a.example")
    making.record("b.example", TESTING)
    making.record("c.example", TESTING, last_use=timezone.now())
    assert found(q=".example", mode="testing", state="unused") == {"b.example"}


def test_an_outcome_is_found_by_its_result_type() -> None:
    making.record("sts.example", outcome_type="sts")
    making.record("fails.example", outcome_type="sts", outcome_failure="sts-policy-invalid")
    making.record("absent.example", outcome_type="no-policy-found")
    making.record("unasked.example")
    assert {choice.value: found(outcome=choice.value) for choice in listing.OUTCOMES} == {
        "sts": {"sts.example"},
        "no-policy-found": {"absent.example"},
        "sts-policy-fetch-error": set(),
        "sts-policy-invalid": {"fails.example"},
        "sts-webpki-invalid": set(),
        "none": {"unasked.example"},
    }


def test_the_time_of_the_last_use_is_a_filter() -> None:
    now = timezone.now()
    ago = {
        "hour": timedelta(minutes=59),
        "day": timedelta(hours=23),
        "week": timedelta(days=6),
        "month": timedelta(days=29),
    }
    for word, span in ago.items():
        making.record(f"{word}.example", last_use=now - span)
    making.record("never.example")
    names = [f"{word}.example" for word in ago]
    assert [found(used=choice.value) for choice in listing.USED] == [
        set(names[: at + 1]) for at in range(len(names))
    ]


def test_an_empty_cache_says_how_to_go_on_and_an_empty_search_how_to_go_back(as_: As) -> None:
    viewer = as_("viewer")
    assert (
        b"smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461" in viewer.get("/policies/").content
    )
    making.record("a.example")
    page = viewer.get("/policies/?q=nothing-like-it").content
    assert b"No policy matches" in page
    assert b"Show all policies" in page


NARROW = ("expiring", "expired", "failing", "unused")
"""States that few rows have: they are found first, and then sorted."""

QUERIES = [
    *({"sort": sort} for sort in listing.SORTS),
    *({"state": choice.value} for choice in listing.STATES),
    *({"mode": choice.value} for choice in listing.MODES),
    *({"outcome": choice.value} for choice in listing.OUTCOMES),
    *({"used": choice.value} for choice in listing.USED),
    {"q": "=d000001.example"},
    {"q": "d0000*"},
    {"q": "d0000*", "sort": "domain"},
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_an_index_serves_the_list(query: dict[str, str], as_: As) -> None:
    making.many(60)
    viewer = as_("viewer")
    page = viewer.get("/policies/", query)
    for asked in (query, query | {"after": page.context["next"].rpartition("after=")[2]}):
        with CaptureQueriesContext(connection) as captured:
            viewer.get("/policies/", asked)
        plan = plans.of(captured, "policies_policyrecord")
        assert not plan.reads_a_whole_table, plan
        few = query.get("state") in NARROW or query.get("q") or query.get("sort") == "valid_until"
        assert few or not plan.sorts, plan


def test_tiles_lead_to_open_alerts_and_to_exceptions_where_there_are_some(as_: As) -> None:
    now = timezone.now()
    viewer = as_("viewer")
    assert "exceptions in force" not in viewer.get("/policies/").content.decode()
    making.record("weak.example", open_alerts=1)
    PolicyException.objects.create(
        scope="domain", target="a.example", action="skip", reason="r", owner="o",
        since=now, until=now + timedelta(days=1),
    )  # fmt: skip
    summary.count(now)
    html = viewer.get("/policies/").content.decode()
    for tile in (
        'href="?state=alert"><b>≈ 1</b> with alerts',
        'href="/exceptions/?state=active"><b>≈ 1</b> exceptions in force',
    ):
        assert tile in html
        path = tile.partition('"')[2].partition('"')[0]
        assert viewer.get(path if path[0] == "/" else f"/policies/{path}").status_code == 200
