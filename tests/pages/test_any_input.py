"""Whatever stands in an address or a form, a page comes out that is no server error."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, urlencode

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import listing
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
    for cursor in (encoded([key, "a.example"]), encoded(["2026-01-01T00:00:00+00:00", key])):
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
