"""Whatever stands in an address or a form, a page comes out that is no server error."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, urlencode

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import alert_listing, fetch_listing, listing, outcome_listing
from policies.models import PolicyRecord
from tests.pages import making
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db

# The rows are read only; every example may meet the same ones.
quickly = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

words = st.sampled_from(
    [
        *(choice.value for choice in (*listing.MODES, *listing.STATES, *listing.OUTCOMES)),
        *listing.SORTS, "", "\0", "%", "=", "*", "=*", "'", "\\", "-1", "9" * 400,
    ]
)  # fmt: skip
texts = words | st.text(max_size=80) | st.text(min_size=300, max_size=400)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
    | st.sampled_from(["2026-01-01", "2026-01-01T00:00:00+00:00", "0001-01-01T00:00:00+23:59",
                       "9999-12-31T23:59:59-23:59", "a.example", "\0", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)  # fmt: skip
cursors = (
    texts | json_values.map(encoded) | st.lists(json_values, min_size=2, max_size=2).map(encoded)
)
keys = st.sampled_from(["q", "mode", "state", "outcome", "sort", "after", "before", "page"])


@quickly
@given(st.lists(st.tuples(keys, cursors), max_size=6))
def test_the_list_takes_any_query(as_: As, query: list[tuple[str, str]]) -> None:
    if not PolicyRecord.objects.exists():
        making.many(2)
    text = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in query])
    assert as_("viewer").get(f"/policies/?{text}").status_code == 200


@pytest.mark.parametrize(
    "key", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "a", "2026-01-01", "\ud800"]
)
@pytest.mark.parametrize("name", listing.SORTS)
@pytest.mark.parametrize("direction", ["after", "before"])
def test_a_cursor_that_no_database_can_compare_is_ignored(
    direction: str, name: str, key: str, as_: As
) -> None:
    making.record("a.example")
    times = dict.fromkeys(("last_use_key", "valid_end"), "2026-01-01T00:00:00+00:00")
    values = [times.get(field, "a") for field in listing.SORTS[name].fields]
    for at in range(len(values)):
        cursor = encoded([*values[:at], key, *values[at + 1 :]])
        page = as_("viewer").get("/policies/", {"sort": name, direction: cursor})
        assert page.status_code == 200


@quickly
@given(st.binary(max_size=60))
def test_the_list_takes_any_bytes_as_a_query(as_: As, raw: bytes) -> None:
    assert as_("viewer").get(f"/policies/?{quote(raw, safe='=&%+;')}").status_code == 200


@quickly
@given(st.text(min_size=1, max_size=300).filter(lambda text: "/" not in text))
def test_any_domain_in_an_address_is_found_or_not_found(as_: As, domain: str) -> None:
    path = quote(domain.encode("utf-8", "surrogatepass"), safe="")
    operator = as_("operator")
    for address in (f"/policies/{path}/", f"/policies/{path}/delete/"):
        assert operator.get(address).status_code in (200, 301, 302, 400, 404)
    assert operator.post(f"/policies/{path}/refetch/").status_code in (404, 405)


@quickly
@given(st.lists(texts, max_size=5), texts)
def test_any_selection_and_any_way_back_are_taken(
    as_: As, chosen: list[str], way_back: str
) -> None:
    form = urlencode(
        [("domain", value.encode("utf-8", "surrogatepass")) for value in chosen]
        + [("next", way_back.encode("utf-8", "surrogatepass"))]
    )
    answer = as_("operator").post(
        "/policies/refetch/", form, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 303


@quickly
@given(st.lists(st.tuples(st.sampled_from(
    ["q", "state", "mode", "mode__exact", "backoff__exact", "p", "o", "all", "e",
     "valid_end__year", "valid_end__month", "valid_end__day", "_popup", "_to_field", "pk__in"]
), texts), max_size=5))  # fmt: skip
def test_the_admins_list_takes_any_query(as_: As, query: list[tuple[str, str]]) -> None:
    text = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in query])
    answer = as_("superuser").get(f"/admin/policies/policyrecord/?{text}")
    assert answer.status_code in (200, 302, 400)


@pytest.mark.parametrize("name", listing.SORTS)
@quickly
@given(text=cursors)
def test_a_cursor_that_is_none_of_ours_begins_at_the_beginning(name: str, text: str) -> None:
    cursor = listing.Cursor.read(text, listing.SORTS[name])
    if cursor is not None:
        assert listing.Cursor.read(str(cursor), listing.SORTS[name]) == cursor


asked = st.sampled_from(
    [
        *(choice.value for choice in (*fetch_listing.SOURCES, *fetch_listing.STATES)),
        *(choice.value for choice in (*fetch_listing.OUTCOMES, *fetch_listing.SINCE)),
        *(choice.value for choice in (*outcome_listing.SPANS, *outcome_listing.SOURCES)),
        *(choice.value for choice in (*alert_listing.KINDS, *alert_listing.STATES)),
        "newest", "failures", "1", "0.1.1", "0.0.0", "5.999999999999999999.1", "9.1.1",
        f"0.{'9' * 18}.{'9' * 18}", "2026-03-01", "0001-01-01", "9999-12-31", "-1", "1e400",
    ]
)  # fmt: skip
OTHERS = {
    "/fetches/": ["domain", "source", "state", "outcome", "since", "sort", "after", "before"],
    "/outcomes/": ["q", "type", "source", "days", "failures", "after", "before"],
    "/outcomes/csv/": ["q", "type", "source", "days", "failures"],
    "/alerts/": ["domain", "severity", "kind", "state", "show", "after", "before"],
    "/trouble/": ["kind", "after"],
    "/policies/export.csv": ["q", "mode", "state", "outcome", "used", "sort"],
    "/policies/export.json": ["q", "mode", "state", "outcome", "used", "sort"],
    "/policies/changed/": ["since"],
    "/audit/": ["before"],
    "/policies/bulk/refetch/": ["q", "mode", "state", "outcome", "used", "sort"],
    "/check/": ["domain"],
}


@pytest.mark.parametrize("address", OTHERS)
@settings(quickly, max_examples=12)
@given(data=st.data())
def test_the_other_pages_and_the_files_take_any_query(
    as_: As, address: str, data: st.DataObject
) -> None:
    if not PolicyRecord.objects.exists():
        making.many(2)
        making.alert("a.example")
    pairs = st.tuples(st.sampled_from(OTHERS[address]), asked | cursors)
    query = data.draw(st.lists(pairs, max_size=6))
    text = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in query])
    answer = as_("operator").get(f"{address}?{text}")
    assert answer.status_code == (302 if "bulk" in address else 200)
    if answer.streaming:
        answer.getvalue()  # the queries run as it is read


@quickly
@given(st.lists(st.tuples(st.sampled_from(["day", "domain"]), asked | texts), max_size=3))
def test_a_report_is_made_or_refused_with_the_reason(as_: As, query: list[tuple[str, str]]) -> None:
    text = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in query])
    answer = as_("viewer").get(f"/outcomes/report/?{text}")
    assert answer.status_code in (200, 400)
    if answer.streaming:
        answer.getvalue()


@quickly
@given(st.dictionaries(st.sampled_from(["all", "domain", "question", "next"]), texts))
def test_any_answer_to_a_question_of_many_is_taken(as_: As, form: dict[str, str]) -> None:
    if not PolicyRecord.objects.exists():
        making.many(2)
    body = urlencode({key: value.encode("utf-8", "surrogatepass") for key, value in form.items()})
    answer = as_("operator").post(
        "/policies/bulk/delete/", body, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code in (200, 303)
    assert PolicyRecord.objects.count() == 2


NUMBERED = [
    "/alerts/{}/", "/alerts/{}/acknowledge/", "/fetches/{}/row/", "/jobs/{}/stop/",
    "/exceptions/{}/", "/exceptions/{}/end/",
]  # fmt: skip


@pytest.mark.parametrize("number", [10**18 - 1, 10**18, 2**63, 10**30, 10**400])
@pytest.mark.parametrize("address", NUMBERED)
def test_a_number_that_no_row_has_is_not_found(address: str, number: int, as_: As) -> None:
    client, address = as_("operator"), address.format(number)
    is_known = number < 10**18
    # A row that is gone leaves its place empty, and a job that is gone has ended.
    seen, done = (200 if "row" in address else 404), (303 if "jobs" in address else 404)
    if "jobs" not in address:
        assert client.get(address).status_code == (seen if is_known else 404)
    if "row" not in address and address.count("/") > 3:
        assert client.post(address).status_code == (done if is_known else 404)


filters_ = st.sampled_from(["q", "state", "action", "scope", "page"])


@quickly
@given(st.lists(st.tuples(filters_, texts), max_size=5))
def test_the_exceptions_take_any_query(as_: As, query: list[tuple[str, str]]) -> None:
    text = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in query])
    assert as_("viewer").get(f"/exceptions/?{text}").status_code == 200
    assert as_("operator").get(f"/exceptions/add/?{text}").status_code == 200


fields = st.sampled_from(
    ["scope", "target", "action", "policy_text", "level", "match", "reason", "owner", "since",
     "until", "endless", "shown"]
)  # fmt: skip
typed = texts | st.sampled_from(
    ["domain", "suffix", "mx", "everything", "pin", "require", "secure", "a.example", ".a.example",
     "2026-01-01T00:00", "9999-12-31T23:59", "0001-01-01T00:00", "mx.example hostname"]
)  # fmt: skip


@quickly
@given(st.dictionaries(fields, typed))
def test_any_exception_that_is_typed_is_made_or_told_what_is_wrong(
    as_: As, form: dict[str, str]
) -> None:
    body = urlencode({key: value.encode("utf-8", "surrogatepass") for key, value in form.items()})
    answer = as_("administrator").post(
        "/exceptions/add/", body, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code in (200, 303)


@quickly
@given(st.text(max_size=200), st.sampled_from(["", "all", "rest", "x"]))
def test_any_table_is_taken_or_told_what_is_wrong(as_: As, table: str, do: str) -> None:
    form = {"table": table, "reason": "r", "days": "7", "do": do}
    body = urlencode({key: value.encode("utf-8", "surrogatepass") for key, value in form.items()})
    answer = as_("operator").post(
        "/exceptions/import/", body, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code in (200, 303)
