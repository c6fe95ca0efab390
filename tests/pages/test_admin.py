"""Editing policies in the admin: what is refused, what follows, what is noted, how it finds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from policies import admin, cache
from policies.models import Fetch, Job, PolicyRecord
from tests.pages import making, plans
from tests.pages.conftest import As, someone
from tests.worlds import ENFORCE, NONE, TESTING

pytestmark = pytest.mark.django_db

LIST = "/admin/policies/policyrecord/"
ADD = f"{LIST}add/"


def change(row: PolicyRecord) -> str:
    return reverse("admin:policies_policyrecord_change", args=[row.pk])


def form_of(client: Client, path: str) -> dict[str, Any]:
    """What a browser would send if nothing were changed: with CRLF, and without microseconds."""
    fields: dict[str, Any] = {}
    for bound in client.get(path).context["adminform"].form:
        value = bound.value()
        if bound.name == "valid_end":
            day, _, time = f"{value:%Y-%m-%d %H:%M:%S}".partition(" ") if value else ("", "", "")
            fields |= {"valid_end_0": day, "valid_end_1": time}
        elif isinstance(value, bool):
            fields |= {bound.name: "on"} if value else {}
        else:
            fields[bound.name] = re.sub("\r?\n", "\r\n", str(value or ""))
    return fields


def send(client: Client, path: str, **changed: Any) -> Any:
    """Open the form, change these fields, save."""
    sent = form_of(client, path) | changed
    return client.post(path, {name: value for name, value in sent.items() if value is not None})


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(each) for name, each in answer.context["adminform"].form.errors.items()}


@pytest.fixture
def operator(as_: As) -> Client:
    return as_("operator")


@pytest.fixture
def row() -> PolicyRecord:
    return making.record("one.example")


def test_a_text_that_does_not_parse_is_refused_with_its_line(
    operator: Client, row: PolicyRecord
) -> None:
    answer = send(operator, change(row), policy_text=ENFORCE.replace("enforce", "enforced"))
    assert answer.status_code == 200
    [error] = errors(answer)["policy_text"]
    assert error.startswith("This is no policy. Line 2: ")
    assert PolicyRecord.objects.get().policy_text == ENFORCE
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ENFORCE + "\r\n", 5),
        (" " + ENFORCE, 1),
        (ENFORCE.replace("mx.example.org", "mx example"), 3),
        (ENFORCE.replace("86400", "-1"), 4),
        ("<script>alert(1)</script>", 1),
    ],
)
def test_each_fault_names_its_line(
    text: str, line: int, operator: Client, row: PolicyRecord
) -> None:
    answer = send(operator, change(row), policy_text=text)
    assert f"Line {line}:" in errors(answer)["policy_text"][0]
    assert b"<script>alert" not in answer.content


@pytest.mark.parametrize("text", ["", None])
def test_a_row_that_holds_a_policy_needs_its_text(
    text: str | None, operator: Client, row: PolicyRecord
) -> None:
    answer = send(operator, change(row), policy_text=text)
    assert errors(answer) == {"policy_text": ["A row that does not back off needs a policy text."]}


def test_the_parsed_fields_follow_from_the_text(operator: Client, row: PolicyRecord) -> None:
    text = "version: STSv1\nmode: testing\nmx: *.example.net\nmx: a.example\nmax_age: 60\nx: y\n"
    assert send(operator, change(row), policy_text=text).status_code == 302
    stored = PolicyRecord.objects.get()
    assert (stored.mode, stored.mx, stored.max_age, stored.extensions) == (
        "testing", ["*.example.net", "a.example"], 60, [["x", "y"]],
    )  # fmt: skip
    assert stored.policy_text == text
    assert stored.edited is not None


def test_an_edit_is_marked_where_one_looks(as_: As, operator: Client, row: PolicyRecord) -> None:
    send(operator, change(row), policy_text=TESTING)
    viewer = as_("viewer")
    assert b"edited" in viewer.get("/policies/").content
    assert b"An operator wrote this text" in viewer.get("/policies/one.example/").content


@pytest.mark.parametrize(
    "text", [ENFORCE, ENFORCE.replace("\n", "\r\n"), ENFORCE.rstrip("\n"), ENFORCE + "x: ü\n"]
)
def test_saving_an_unchanged_form_changes_nothing(text: str, operator: Client) -> None:
    row = making.record("one.example", text)
    before = PolicyRecord.objects.values().get()
    assert send(operator, change(row)).status_code == 302
    after = PolicyRecord.objects.values().get()
    planned = {"refresh_due"}  # a new plan is no harm
    assert {name for name in before if before[name] != after[name]} <= planned
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


@pytest.mark.parametrize(
    "changed",
    [
        {"record_id": "20260801"},
        {"record_id": ""},
        {"valid_end_0": "2031-01-01", "valid_end_1": "12:00:00"},
        {"backoff": "on"},
    ],
    ids=str,
)
def test_what_belongs_to_a_policy_is_set_without_an_edit_of_its_text(
    changed: dict[str, str], operator: Client, row: PolicyRecord
) -> None:
    assert send(operator, change(row), **changed).status_code == 302
    stored = PolicyRecord.objects.get()
    assert stored.edited is None
    assert stored.backoff is ("backoff" in changed)
    if "record_id" in changed:
        assert stored.record_id == changed["record_id"]
    if "valid_end_0" in changed:
        assert stored.valid_end.isoformat() == "2031-01-01T12:00:00+00:00"
    else:
        assert stored.valid_end == row.valid_end


def test_an_empty_end_is_max_age_from_now(operator: Client, row: PolicyRecord) -> None:
    now = timezone.now()
    assert send(operator, change(row), valid_end_0="", valid_end_1="").status_code == 302
    left = PolicyRecord.objects.get().valid_end - now
    assert timedelta(seconds=86400) <= left < timedelta(seconds=86500)


@pytest.mark.parametrize(
    "wrong",
    [
        {"record_id": "not allowed!"},
        {"record_id": "x" * 33},
        {"valid_end_0": "soon"},
        {"valid_end_0": "2026-13-01"},
        {"policy_text": "a\0b"},
    ],
    ids=str,
)
def test_a_field_that_cannot_be_is_refused(
    wrong: dict[str, str], operator: Client, row: PolicyRecord
) -> None:
    answer = send(operator, change(row), **wrong)
    assert answer.status_code == 200
    assert errors(answer)


def test_what_the_cache_owns_cannot_be_sent(operator: Client, row: PolicyRecord) -> None:
    owned = {"mode": "none", "max_age": 1, "domain": "evil.example", "claim": "x", "version": "2"}
    assert send(operator, change(row), **owned).status_code == 302
    stored = PolicyRecord.objects.get()
    assert (stored.domain, stored.mode, stored.max_age, stored.version) == (
        "one.example", "enforce", 86400, "STSv1",
    )  # fmt: skip


def test_nobody_overwrites_what_they_have_not_seen(operator: Client, row: PolicyRecord) -> None:
    opened = form_of(operator, change(row))
    PolicyRecord.objects.update(policy_text=TESTING, mode="testing")  # by a refresh, say
    answer = operator.post(change(row), opened | {"record_id": "2"})
    assert "not as it was when you opened this page" in errors(answer)["__all__"][0]
    assert PolicyRecord.objects.get().policy_text == TESTING


def test_a_lookup_meanwhile_is_no_reason_to_refuse(operator: Client, row: PolicyRecord) -> None:
    opened, now = form_of(operator, change(row)), timezone.now()
    PolicyRecord.objects.update(last_use=now, outcome_type="sts")
    assert operator.post(change(row), opened | {"policy_text": TESTING}).status_code == 302
    stored = PolicyRecord.objects.get()
    assert (stored.last_use, stored.outcome_type, stored.mode) == (now, "sts", "testing")


def test_a_script_that_sends_no_mark_of_what_it_saw_may_edit(
    operator: Client, row: PolicyRecord
) -> None:
    answer = operator.post(
        change(row),
        {"policy_text": NONE, "record_id": "1", "valid_end_0": "2031-01-01", "valid_end_1": "0:0"},
    )
    assert answer.status_code == 302
    assert PolicyRecord.objects.get().mode == "none"


def test_an_edit_of_a_row_that_was_just_deleted_says_so(
    operator: Client, row: PolicyRecord
) -> None:
    opened = form_of(operator, change(row))
    PolicyRecord.objects.all().delete()
    answer = operator.post(change(row), opened, follow=True)
    assert b"Perhaps it was deleted?" in answer.content
    assert not PolicyRecord.objects.exists()


def test_a_row_that_backs_off_gets_a_policy_by_an_edit(operator: Client) -> None:
    row = making.backing_off("one.example")
    answer = send(operator, change(row), policy_text=ENFORCE, backoff=None, valid_end_0="",
                  valid_end_1="")  # fmt: skip
    assert answer.status_code == 302
    stored = PolicyRecord.objects.get()
    assert (stored.backoff, stored.mode, stored.failure_type) == (False, "enforce", "")
    assert cache.lookup("one.example").policy is not None


def test_an_administrator_adds_a_policy_by_its_text(as_: As) -> None:
    client = as_("administrator")
    answer = send(client, ADD, domain="XN--mnchen-3ya.Example.", policy_text=TESTING)
    assert answer.status_code == 302
    stored = PolicyRecord.objects.get()
    assert (stored.domain, stored.mode, stored.edited is None) == (
        "münchen.example", "testing", False,
    )  # fmt: skip
    assert LogEntry.objects.get().is_addition()


@pytest.mark.parametrize(
    "domain", ["münchen.example", "MÜNCHEN.example", "xn--mnchen-3ya.example", "münchen.example."]
)
def test_a_domain_that_is_cached_is_refused_in_every_spelling(domain: str, as_: As) -> None:
    making.record("münchen.example")
    answer = send(as_("administrator"), ADD, domain=domain, policy_text=TESTING)
    assert errors(answer) == {"domain": ["Policy with this Domain already exists."]}


@pytest.mark.parametrize("domain", ["", "no domain", "a..b", "192.0.2.1", "x" * 300, "-a.example"])
def test_what_is_no_domain_is_refused(domain: str, as_: As) -> None:
    answer = send(as_("administrator"), ADD, domain=domain, policy_text=TESTING)
    assert "domain" in errors(answer)


def test_a_domain_added_meanwhile_is_told_and_not_an_error(
    as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any, **__: Any) -> None:
        raise IntegrityError("somebody was quicker")

    client = as_("administrator")
    monkeypatch.setattr(cache, "edit", lose)
    answer = send(client, ADD, domain="one.example", policy_text=TESTING)
    assert answer.headers["Location"] == LIST
    said = [str(message) for message in client.get(LIST).context["messages"]]
    assert said == [admin.ADDED_MEANWHILE]


def test_every_edit_is_in_the_log_with_who_and_what(operator: Client, row: PolicyRecord) -> None:
    send(operator, change(row), policy_text=TESTING, record_id="2")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr, entry.is_change()) == (
        someone("operator"), "one.example", True,
    )  # fmt: skip
    assert entry.get_change_message() == "Changed Policy text and Record id."
    assert b"Changed Policy text" in operator.get(f"{LIST}{row.pk}/history/").content


def test_the_action_refetch_asks_once_for_each_and_is_logged(operator: Client) -> None:
    rows = [making.record(f"{name}.example") for name in "abc"]
    chosen = {"action": "refetch", "_selected_action": [row.pk for row in rows]}
    for _ in range(2):
        operator.post(LIST, chosen)
    assert Fetch.objects.filter(state="queued").count() == 3
    assert LogEntry.objects.count() == 3
    said = [str(message) for message in operator.get(LIST).context["messages"]]
    assert said == ["Refetch: 3 queued.", "Refetch: 0 queued, 3 queued already."]


def test_the_action_refetch_on_all_pages_is_one_job(operator: Client) -> None:
    rows = making.many(60)
    operator.post(
        LIST, {"action": "refetch", "_selected_action": [rows[0].pk], "select_across": "1"}
    )
    assert Job.objects.get().total == 60
    assert not Fetch.objects.exclude(state="done").exists()


def test_the_action_delete_asks_first_and_is_logged(operator: Client) -> None:
    rows = [making.record(f"{name}.example") for name in "abc"]
    chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in rows[:2]]}
    assert b"Are you sure" in operator.post(LIST, chosen).content
    assert PolicyRecord.objects.count() == 3
    operator.post(LIST, chosen | {"post": "yes"})
    assert making.domains(PolicyRecord.objects.all()) == ["c.example"]
    assert LogEntry.objects.count() == 2


def test_the_action_delete_does_not_list_a_million(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "DELETED_AT_ONCE", 10)
    row, *_ = making.many(11)
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "select_across": "1"}
    answer = operator.post(LIST, chosen, follow=True)
    assert b"At most 10 are deleted at once" in answer.content
    assert PolicyRecord.objects.count() == 11


@pytest.mark.parametrize(
    "term", ["münchen", "xn--mnchen-3ya.example", "XN--MNCHEN-3YA.example", "=münchen.example"]
)
def test_it_finds_a_name_in_either_form(term: str, operator: Client) -> None:
    making.record("münchen.example")
    making.record("other.example")
    assert listed(operator, q=term) == ["münchen.example"]
    Fetch.objects.create(domain="münchen.example", source="lookup", state="done")
    whole = "xn--mnchen-3ya.example"
    found = operator.get("/admin/policies/fetch/", {"q": whole}).context["cl"].result_list
    assert [fetch.domain for fetch in found] == ["münchen.example"]


def listed(client: Client, **query: str) -> list[str]:
    return [row.domain for row in client.get(LIST, query).context["cl"].result_list]


def test_dates_lead_from_years_to_days(operator: Client) -> None:
    for at, end in enumerate(["2026-12-31T23:59:59", "2027-01-01T00:00:00", "2027-02-03T04:05:06"]):
        making.record(f"d{at}.example", valid_end=f"{end}+00:00")
    steps = [
        ({}, ["2026", "2027"]),
        ({"valid_end__year": "2027"}, ["January 2027", "February 2027"]),
        ({"valid_end__year": "2027", "valid_end__month": "2"}, ["February 3"]),
    ]
    for query, words in steps:
        html = operator.get(LIST, query).content.decode()
        hierarchy = html[html.index('class="toplinks"') :].partition("</nav>")[0]
        offered = [word.strip() for word in re.findall(r"<a [^>]*>([^<‹&]+)</a>", hierarchy)]
        assert offered == words, query
    assert listed(operator, valid_end__year="2027", valid_end__month="1") == ["d1.example"]


def test_the_days_of_many_rows_are_found_from_one_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin, "COUNTED", 0)
    for at, day in enumerate(("01", "01", "02", "09")):
        making.record(f"d{at}.example", valid_end=f"2027-03-{day}T04:05:06+00:00")
    making.record("later.example", valid_end="2027-04-01T00:00:00+00:00")
    start, end = (datetime(2027, month, 1, tzinfo=UTC) for month in (3, 4))
    march = admin.SparseDates(PolicyRecord).filter(valid_end__gte=start, valid_end__lt=end)
    with CaptureQueriesContext(connection) as captured:
        assert [found.day for found in march.datetimes("valid_end", "day")] == [1, 2, 9]
    last = captured[-1]["sql"]
    assert last.index("2027-03-10") < last.index("2027-03-01"), "SQLite would read all of the month"


VIEWS: list[dict[str, str]] = [
    {},
    {"p": "2"},
    {"q": "d0000"},
    {"q": "=d000001.example"},
    {"mode__exact": "enforce"},
    {"backoff__exact": "1"},
    {"state": "expiring"},
    {"state": "unused"},
    {"o": "1"},
    {"o": "-4"},
    {"o": "-3"},
    {"valid_end__year": "2026"},
]


@pytest.mark.parametrize("query", VIEWS, ids=str)
def test_it_neither_counts_nor_reads_all_rows(query: dict[str, str], operator: Client) -> None:
    making.many(120)
    with CaptureQueriesContext(connection) as captured:
        assert operator.get(LIST, query).status_code in (200, 302)
    about = [each["sql"] for each in captured if "policies_policyrecord" in each["sql"]]
    assert about
    for sql in about:
        assert "LIMIT" in sql or "COUNT(" not in sql, sql
        plan = plans.explain(sql)
        assert not plan.reads_a_whole_table, (sql, plan)


def test_times_are_written_as_in_logs_with_their_zone(operator: Client) -> None:
    making.record("one.example", last_use="2026-03-01T12:30:45+00:00")
    assert b"2026-03-01 12:30:45 UTC" in operator.get(LIST).content


def test_the_form_says_what_an_edit_means_and_names_fields_as_the_rfc_does(
    operator: Client, row: PolicyRecord
) -> None:
    html = operator.get(change(row)).content.decode()
    assert "An edited text holds through refreshes" in html
    assert "(max_age)" in html
    assert "86,400 s" in html
    assert "icon-no" not in html
