"""The list's two ways to read a page: few rows are found and sorted, many are read in order."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from policies import listing, narrowing
from policies.models import PolicyRecord
from tests.pages import making, plans
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db

SEVERAL = 4
"""More rows than `narrowing.FEW`, where that is patched to be less."""

FILTERS: list[dict[str, str]] = [
    *({"mode": choice.value} for choice in listing.MODES),
    *({"state": choice.value} for choice in listing.STATES if choice.value != "held"),
    *({"outcome": choice.value} for choice in listing.OUTCOMES),
    *({"used": choice.value} for choice in listing.USED),
    {"q": "d0*"},
    {"mode": "enforce", "state": "expiring"},
    {"mode": "none", "state": "expired"},
    {"outcome": "sts-policy-invalid", "state": "failing"},
    {"q": "d0*", "used": "day"},
]


@pytest.fixture
def rows() -> None:
    """Some of every kind."""
    now, hour = timezone.now(), timedelta(hours=1)
    kinds = [
        {"valid_end": now + 100 * hour},
        {"valid_end": now + hour, "mode": "testing"},
        {"valid_end": now - hour, "mode": "none", "last_use": None},
        {"backoff": True, "mode": "none"},
        {"edited": now},
        *({"outcome_type": "sts", "outcome_failure": each.value} for each in listing.OUTCOMES),
        *({"outcome_type": each} for each in ("sts", "no-policy-found")),
    ]
    PolicyRecord.objects.bulk_create(
        making.unsaved(
            f"d{at:02}-{kind}.example", **({"last_use": now - at * hour / 4} | fields)
        )
        for kind, fields in enumerate(kinds)
        for at in range(SEVERAL)
    )  # fmt: skip


def statements(query: dict[str, str], *, after: str = "") -> list[str]:
    """What the list asks the database for: counts first, then its rows."""
    filters = listing.Filters.read(query)
    conditions = filters.conditions(timezone.now())
    with CaptureQueriesContext(connection) as captured:
        listing.page(PolicyRecord.objects.all(), filters.order, conditions, after=after)
    return [each["sql"] for each in captured]


def finds_rows(plan: plans.Plan) -> bool:
    """Whether an index leads to the rows, or holds no others."""
    ways = ("SEARCH", "Index Cond", "policy_backing_off", "policy_edited", "policy_lookup_failed",
            "policy_with_alerts")  # fmt: skip
    return any(way in step for step in plan.steps for way in ways)


def counts(sql: str) -> bool:
    return sql.startswith("SELECT COUNT(")


@pytest.mark.parametrize("sort", listing.SORTS)
@pytest.mark.parametrize("query", FILTERS, ids=str)
@pytest.mark.usefixtures("rows")
def test_many_rows_are_read_in_order(
    query: dict[str, str], sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrowing, "FEW", -1)
    row = {"domain": "d00", "mode": "none", "outcome_type": "sts", "outcome_failure": ""}
    times = dict.fromkeys(("last_use_key", "valid_end"), timezone.now())
    order = listing.Filters.read(query | {"sort": sort}).order
    after = str(listing.Cursor.at(SimpleNamespace(**row, **times), order))
    for sql in statements(query | {"sort": sort}) + statements(query | {"sort": sort}, after=after):
        plan = plans.explain(sql)
        assert not plan.reads_a_whole_table, plan
        assert not plan.sorts, plan


@pytest.mark.parametrize("sort", listing.SORTS)
@pytest.mark.parametrize("query", FILTERS, ids=str)
@pytest.mark.usefixtures("rows")
def test_few_rows_are_found_by_an_index(query: dict[str, str], sort: str) -> None:
    for sql in statements(query | {"sort": sort}):
        assert finds_rows(plans.explain(sql)), sql


@pytest.mark.parametrize("few", [-1, SEVERAL, 1000])
@pytest.mark.parametrize("sort", listing.SORTS)
@pytest.mark.parametrize(
    "query", [*FILTERS, {"q": "1-"}, {"q": "-1.exam"}, {"state": "held"}], ids=str
)
@pytest.mark.usefixtures("rows")
def test_both_ways_show_the_same(
    query: dict[str, str], sort: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrowing, "FEW", few)
    filters, now = listing.Filters.read(query | {"sort": sort}), timezone.now()
    order = filters.order
    expected = filters.apply(PolicyRecord.objects.all(), now).order_by(*order.columns)
    found, after, first = [], "", True
    while after or first:
        page = listing.page(
            PolicyRecord.objects.all(), order, filters.conditions(now), after=after, size=7
        )
        found += making.domains(page.rows)
        after, first = page.after, False
    assert found == making.domains(expected)


@pytest.mark.parametrize("state", [choice.value for choice in listing.STATES])
@pytest.mark.usefixtures("rows")
def test_each_state_goes_with_any_other_filter(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for few in (-1, 1000):
        monkeypatch.setattr(narrowing, "FEW", few)
        for sort in listing.SORTS.values():
            asked = listing.Filters.read({"state": state, "mode": "enforce", "used": "day"})
            page = listing.page(
                PolicyRecord.objects.all(), sort, asked.conditions(timezone.now()), size=100
            )
            expected = asked.apply(PolicyRecord.objects.all(), timezone.now())
            assert set(making.domains(page.rows)) == set(making.domains(expected))


@pytest.mark.parametrize("part", ["e", "exam"])
@pytest.mark.usefixtures("rows")
def test_a_part_of_many_names_is_looked_for_in_order(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrowing, "FEW", -1)
    for sql in statements({"q": part}):
        plan = plans.explain(sql)
        assert not plan.reads_a_whole_table, plan
        assert any("policy_by_use" in step for step in plan.steps), plan


@pytest.mark.parametrize(
    ("query", "sort", "order"),
    [
        ({"mode": "enforce"}, "valid_until", "last_use_key"),
        ({"state": "failing"}, "valid_until", "last_use_key"),
        ({"state": "expired"}, "last_use", "valid_end"),
        ({"mode": "enforce", "state": "expiring"}, "valid_until", "valid_end"),
        ({"mode": "enforce", "state": "valid"}, "last_use", "last_use_key"),
        ({"state": "valid"}, "last_use", "last_use_key"),
        ({"state": "failing"}, "domain", "domain"),
        ({"state": "failing"}, "-last_use", "last_use_key"),
        ({"state": "failing"}, "mode", "last_use_key"),
        ({"state": "expired"}, "-outcome", "valid_end"),
        ({"state": "valid"}, "outcome", "outcome_type"),
        ({"mode": "none"}, "outcome", "last_use_key"),
        ({"q": "d0*"}, "valid_until", "valid_end"),
        ({"q": "d0*"}, "mode", "mode"),
        ({"q": "d0*", "mode": "enforce"}, "domain", "domain"),
    ],
)
@pytest.mark.usefixtures("rows")
def test_many_rows_of_a_large_table_come_in_an_order_that_finds_them(
    query: dict[str, str], sort: str, order: str, monkeypatch: pytest.MonkeyPatch, as_: As
) -> None:
    monkeypatch.setattr(narrowing, "FEW", -1)
    conditions = listing.Filters.read(query).conditions(timezone.now())
    asked = listing.SORTS[sort]
    assert listing.page(PolicyRecord.objects.all(), asked, conditions).order == asked
    monkeypatch.setattr(narrowing, "SMALL", 0)
    shown = listing.page(PolicyRecord.objects.all(), asked, conditions).order
    assert shown is not None
    assert shown.field == order
    html = as_("viewer").get("/policies/", query | {"sort": sort}).content.decode()
    assert ("too many to sort them in that way" in html) == (order != asked.field)


@pytest.mark.parametrize(
    ("query", "sort"),
    [({"mode": "enforce"}, "mode"), ({"outcome": "sts"}, "outcome")],
)
@pytest.mark.usefixtures("rows")
def test_rows_of_one_mode_or_outcome_come_by_their_use(
    query: dict[str, str], sort: str, monkeypatch: pytest.MonkeyPatch, as_: As
) -> None:
    monkeypatch.setattr(narrowing, "FEW", -1)
    monkeypatch.setattr(narrowing, "SMALL", 0)
    for asked, order in ((sort, "last_use"), (f"-{sort}", "-last_use")):
        assert listing.Filters.read(query | {"sort": asked}).order == listing.SORTS[order]
        html = as_("viewer").get("/policies/", query | {"sort": asked}).content.decode()
        assert "too many to sort them in that way" not in html


@pytest.mark.usefixtures("rows")
def test_few_rows_of_a_large_table_come_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowing, "SMALL", 0)
    conditions = listing.Filters.read({"state": "backoff"}).conditions(timezone.now())
    for sort in listing.SORTS.values():
        assert listing.page(PolicyRecord.objects.all(), sort, conditions).order == sort


NOW = timezone.now()
LATER = NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("lead", "beyond", "both"),
    [
        (Q(valid_end__gt=NOW), Q(), Q(valid_end__gt=NOW)),
        (Q(valid_end__gt=NOW), Q(valid_end__gt=LATER),
         Q(bare_valid_end__gt=NOW, valid_end__gt=LATER)),
        (Q(valid_end__gt=LATER), Q(valid_end__gt=NOW),
         Q(valid_end__gt=LATER, bare_valid_end__gt=NOW)),
        (Q(valid_end__gt=NOW), Q(valid_end__lt=LATER), Q(valid_end__gt=NOW, valid_end__lt=LATER)),
        (Q(valid_end__lte=LATER), Q(valid_end__lt=NOW),
         Q(bare_valid_end__lte=LATER, valid_end__lt=NOW)),
        (Q(domain__gte="d", domain__lt="e"), Q(domain__gt="dx"),
         Q(bare_domain__gte="d", domain__lt="e", domain__gt="dx")),
    ],
)  # fmt: skip
def test_of_two_bounds_the_closer_one_enters_the_index(lead: Q, beyond: Q, both: Q) -> None:
    found = narrowing._closest(lead, beyond)
    # PostgreSQL takes the closer bound by itself, and both stay as they are.
    expected = both if connection.vendor == "sqlite" else lead & beyond
    assert set(found.children) == set(expected.children)


@pytest.mark.parametrize(
    ("collation", "start", "end"),
    [
        ("C", "d", "d" + listing.LAST),
        ("C.UTF-8", "-", "-" + listing.LAST),
        ("en_US.utf8", "da", "db"),
        ("en_US.utf8", "d9", ""),
        ("en_US.utf8", "d-", ""),
        ("en_US.utf8", "dü", ""),
        ("cs_CZ.utf8", "c", ""),
        ("und-x-icu", "c", ""),
    ],
)
def test_where_a_beginning_ends_is_known_of_some_collations(
    collation: str, start: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_collation", lambda: collation)
    assert listing._end_of(start) == end


@pytest.mark.usefixtures("rows")
def test_counting_ends_where_rows_are_no_longer_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowing, "FEW", SEVERAL - 1)
    counted = [sql for sql in statements({"state": "expired", "sort": "domain"}) if counts(sql)]
    assert len(counted) == 1
    assert f"LIMIT {SEVERAL}" in counted[0]
