"""Keyset paging: every row once, in order, forward and back, whatever the keys are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from operator import attrgetter

import pytest
from django.utils import timezone

from policies import listing
from policies.models import PolicyRecord
from policies.models.policy import NEVER
from tests.pages import making
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def rows() -> list[PolicyRecord]:
    """Many with the same time of use, end, mode or outcome, and many that none has used."""
    outcomes = [("", ""), ("sts", ""), ("sts", "sts-webpki-invalid"), ("no-policy-found", "")]
    uses = [THEN, None, THEN + timedelta(microseconds=1), THEN, None, THEN - timedelta(days=1)]
    rows = [
        making.unsaved(
            f"d{(at * 7) % 23:02}.example",
            last_use=uses[at % len(uses)],
            valid_end=THEN + timedelta(days=at % 3),
            mode=PolicyRecord.Mode.values[at % 3],
            outcome_type=outcomes[at % 4][0],
            outcome_failure=outcomes[at % 4][1],
        )
        for at in range(23)
    ]
    PolicyRecord.objects.bulk_create(rows)
    return list(PolicyRecord.objects.all())


def by_use(row: PolicyRecord) -> tuple[float, str]:
    return -(row.last_use or NEVER).timestamp(), row.domain


def failed_first(rows: list[PolicyRecord]) -> list[PolicyRecord]:
    by_outcome = attrgetter("outcome_type", "outcome_failure")
    return sorted(sorted(rows, key=by_use), key=by_outcome, reverse=True)


IN_ORDER: dict[str, Callable[[list[PolicyRecord]], list[PolicyRecord]]] = {
    "last_use": lambda rows: sorted(rows, key=by_use),
    "domain": lambda rows: sorted(rows, key=attrgetter("domain")),
    "mode": lambda rows: sorted(rows, key=lambda row: (row.mode, *by_use(row))),
    "outcome": failed_first,
    "valid_until": lambda rows: sorted(rows, key=attrgetter("valid_end", "domain")),
}


def sorted_domains(rows: list[PolicyRecord], name: str) -> list[str]:
    """The domains in the order of this name; with a "-" before it they come from the other end."""
    domains = making.domains(IN_ORDER[name.removeprefix("-")](rows))
    return domains[::-1] if name.startswith("-") else domains


def test_every_order_is_tried_here() -> None:
    assert {*IN_ORDER, *(f"-{name}" for name in IN_ORDER)} == set(listing.SORTS)


@pytest.mark.parametrize("size", [1, 2, 5, 22, 23, 24])
@pytest.mark.parametrize("name", listing.SORTS)
def test_pages_forward_and_back_show_every_row_once_in_order(
    name: str, size: int, rows: list[PolicyRecord]
) -> None:
    sort, expected = listing.SORTS[name], sorted_domains(rows, name)
    forward = [listing.page(PolicyRecord.objects.all(), sort, size=size)]
    while forward[-1].after:
        forward.append(
            listing.page(PolicyRecord.objects.all(), sort, after=forward[-1].after, size=size)
        )
    assert [domain for page in forward for domain in making.domains(page.rows)] == expected
    assert forward[0].before == ""
    for before, page in pairwise(forward):
        back = listing.page(PolicyRecord.objects.all(), sort, before=page.before, size=size)
        assert back.rows == before.rows
        assert back.after
        assert bool(back.before) is (before is not forward[0])


@pytest.mark.parametrize("name", listing.SORTS)
def test_a_row_that_goes_meanwhile_loses_no_other(name: str, rows: list[PolicyRecord]) -> None:
    sort, expected = listing.SORTS[name], sorted_domains(rows, name)
    first = listing.page(PolicyRecord.objects.all(), sort, size=5)
    PolicyRecord.objects.filter(domain=first.rows[-1].domain).delete()
    second = listing.page(PolicyRecord.objects.all(), sort, after=first.after, size=5)
    assert making.domains(second.rows) == expected[5:10]


def test_where_all_rows_of_a_page_are_gone_the_first_page_is_shown(as_: As) -> None:
    making.many(60)
    viewer = as_("viewer")
    second = viewer.get("/policies/").context["next"]
    PolicyRecord.objects.filter(domain__gte="d000050").delete()
    page = viewer.get(f"/policies/{second}").context
    assert [row.record.domain for row in page["rows"]][:2] == ["d000000.example", "d000001.example"]
    assert (page["first"], page["next"]) == ("", "")


def test_the_page_leads_forward_and_back_with_its_filters(as_: As) -> None:
    making.many(120, used=timezone.now())
    viewer = as_("viewer")
    pages = [viewer.get("/policies/?q=.example&mode=enforce&sort=domain").context]
    while pages[-1]["next"]:
        pages.append(viewer.get(f"/policies/{pages[-1]['next']}").context)
    assert [len(page["rows"]) for page in pages] == [50, 50, 20]
    assert all("q=.example&mode=enforce&sort=domain" in page["next"] for page in pages[:-1])
    back = viewer.get(f"/policies/{pages[2]['previous']}").context
    assert [row.record.pk for row in back["rows"]] == [row.record.pk for row in pages[1]["rows"]]
    first = viewer.get(f"/policies/{pages[2]['first']}").context
    assert [row.record.pk for row in first["rows"]] == [row.record.pk for row in pages[0]["rows"]]


def test_rows_of_the_list_come_last_use_first_and_never_used_last(as_: As) -> None:
    now = timezone.now()
    making.record("never.example")
    making.record("b.example", last_use=now)
    making.record("a.example", last_use=now)
    making.record("c.example", last_use=now - timedelta(days=9))
    rows = as_("viewer").get("/policies/").context["rows"]
    assert [row.record.domain for row in rows] == [
        "a.example", "b.example", "c.example", "never.example",
    ]  # fmt: skip
