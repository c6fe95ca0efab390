"""What the buttons do, also when pressed twice, too late, or on what has gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from mtastsweb import login as login_again
from policies.models import Fetch, PolicyException, PolicyRecord
from tests.pages import making
from tests.pages.conftest import As, someone

pytestmark = pytest.mark.django_db

ONE = "/policies/one.example/"


def says(client: Client, path: str = "/policies/") -> list[str]:
    """The messages that wait for this browser's next page."""
    return [str(message) for message in client.get(path).context["messages"]]


def test_a_refetch_is_queued_for_a_worker_and_noted_with_who_asked(as_: As) -> None:
    making.record("one.example")
    operator = as_("operator")
    answer = operator.post(f"{ONE}refetch/")
    assert answer.headers["Location"] == ONE
    fetch = Fetch.objects.get()
    assert (fetch.domain, fetch.source, fetch.state) == ("one.example", "operator", "queued")
    assert fetch.requested_by == someone("operator")
    assert OrmQ.objects.count() == 1
    assert says(operator, ONE) == ["The refetch of one.example is queued."]


def test_a_double_click_asks_once(as_: As) -> None:
    making.record("one.example")
    operator, other = as_("operator"), as_("superuser")
    for client in (operator, operator, other):
        assert client.post(f"{ONE}refetch/").status_code == 303
    assert (Fetch.objects.count(), OrmQ.objects.count()) == (1, 1)
    assert says(other) == ["A fetch of one.example is queued already; nothing was added."]


def test_the_row_shows_the_fetch_and_asks_again_only_while_it_is_open(as_: As) -> None:
    making.record("one.example")
    operator = as_("operator")
    row = operator.post(f"{ONE}refetch/", headers={"hx-request": "true"}).content.decode()
    assert "queued" in row
    assert f'hx-get="{ONE}row/"' in row
    Fetch.objects.update(state="running")
    assert "running" in operator.get(f"{ONE}row/").content.decode()
    Fetch.objects.update(state="done", outcome="failed", message="HTTP status 503")
    row = operator.get(f"{ONE}row/").content.decode()
    assert "failed" in row
    assert "HTTP status 503" in row
    assert "hx-get" not in row


def test_the_row_of_a_deleted_policy_goes(as_: As) -> None:
    answer = as_("viewer").get(f"{ONE}row/", headers={"hx-request": "true"})
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_refetch_of_a_row_that_was_just_deleted_says_so(as_: As) -> None:
    operator = as_("operator")
    answer = operator.post(f"{ONE}refetch/")
    assert answer.status_code == 404
    assert "somebody has just deleted it" in answer.content.decode()
    assert not Fetch.objects.exists()


def test_a_refetch_of_many_counts_what_it_did(as_: As) -> None:
    for name in ("one.example", "two.example", "three.example"):
        making.record(name)
    operator = as_("operator")
    operator.post(f"{ONE}refetch/")
    says(operator)
    chosen = ["one.example", "two.example", "three.example", "three.example", "gone.example"]
    answer = operator.post("/policies/refetch/", {"domain": chosen, "next": "/policies/?q=e"})
    assert answer.headers["Location"] == "/policies/?q=e"
    assert says(operator) == [
        "Refetch: 2 queued, 1 queued or running already, 1 not cached any more."
    ]
    assert Fetch.objects.count() == 3


def test_a_refetch_of_none_says_what_to_do(as_: As) -> None:
    operator = as_("operator")
    operator.post("/policies/refetch/")
    assert says(operator) == ["Nothing was selected. Tick the rows to refetch."]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "\0",
        "",
    ],
)
def test_the_way_back_never_leads_elsewhere(elsewhere: str, as_: As) -> None:
    making.record("one.example")
    answer = as_("operator").post(f"{ONE}refetch/", {"next": elsewhere})
    assert answer.headers["Location"] == ONE


def test_a_deletion_asks_first_and_is_logged(as_: As) -> None:
    making.record("one.example")
    operator = as_("operator")
    assert "Delete" in operator.get(f"{ONE}delete/").content.decode()
    assert PolicyRecord.objects.exists()
    answer = operator.post(f"{ONE}delete/")
    assert answer.headers["Location"] == "/policies/"
    assert not PolicyRecord.objects.exists()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr, entry.is_deletion()) == (
        someone("operator"), "one.example", True,
    )  # fmt: skip
    assert says(operator) == ["one.example is forgotten. The next lookup fetches its policy anew."]
    # The back button, and the form sent again.
    assert operator.post(f"{ONE}delete/").status_code == 404
    assert LogEntry.objects.count() == 1


def test_a_form_sent_after_the_session_has_expired_leads_to_the_login(as_: As) -> None:
    making.record("one.example")
    operator = as_("operator")
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))
    answer = operator.post(f"{ONE}refetch/")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login/?next=")
    assert not Fetch.objects.exists()


def test_after_that_login_one_is_on_the_page_of_the_form(as_: As) -> None:
    making.record("one.example")
    operator = as_("operator")
    Session.objects.all().delete()
    here = "http://testserver/policies/?q=one"
    login = operator.post(f"{ONE}refetch/", headers={"referer": here}).headers["Location"]
    assert says(operator, login) == [login_again.NOTHING_DONE]
    operator.force_login(someone("operator"), "django.contrib.auth.backends.ModelBackend")
    assert operator.get(login).headers["Location"] == "/policies/?q=one"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "javascript:alert(1)", ""])
def test_after_that_login_one_is_never_elsewhere(elsewhere: str, as_: As) -> None:
    answer = as_("anonymous").post(f"{ONE}refetch/", headers={"referer": elsewhere})
    assert answer.headers["Location"] == "/accounts/login/?next=/"


def test_a_piece_of_a_page_asked_for_too_late_leads_the_whole_page_to_the_login(as_: As) -> None:
    headers = {"hx-request": "true", "hx-current-url": "http://testserver/policies/?mode=none"}
    answer = as_("anonymous").get(f"{ONE}row/", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["HX-Redirect"] == "/accounts/login/?next=/policies/%3Fmode%3Dnone"


def test_a_form_of_another_session_is_refused_with_help(as_: As) -> None:
    making.record("one.example")
    operator = as_("operator", enforce_csrf_checks=True)
    answer = operator.post(f"{ONE}refetch/", {"csrfmiddlewaretoken": "x" * 64})
    assert answer.status_code == 403
    assert "This form is out of date" in answer.content.decode()
    assert not Fetch.objects.exists()


@pytest.mark.parametrize(
    "spelling", ["one.example", "ONE.Example", "one.example.", "xn--mnchen-3ya.example"]
)
def test_a_domain_is_found_in_every_spelling(spelling: str, as_: As) -> None:
    making.record("one.example")
    making.record("münchen.example")
    assert as_("viewer").get(f"/policies/{spelling}/").status_code == 200


def test_both_forms_of_a_name_are_shown(as_: As) -> None:
    making.record("münchen.example")
    viewer = as_("viewer")
    for path in ("/policies/", "/policies/xn--mnchen-3ya.example/"):
        html = viewer.get(path).content.decode()
        assert "münchen.example" in html
        assert "xn--mnchen-3ya.example" in html


IDN = "münchen.example (xn--mnchen-3ya.example)"
THERE = "/policies/xn--mnchen-3ya.example/"


def test_questions_and_messages_say_both_forms_of_a_name(as_: As) -> None:
    row = making.record("münchen.example")
    client = as_("operator")
    assert f"Delete the policy of {IDN}?" in client.get(f"{THERE}delete/").content.decode()
    assert f"Delete the policy of {IDN}?" in client.get(THERE).content.decode()
    client.post(f"{THERE}refetch/")
    client.post(f"{THERE}refetch/")
    client.post("/check/store/", {"domain": "xn--mnchen-3ya.example"})
    client.post(f"{THERE}probe/", {"on": "1"})
    client.post(f"{THERE}probe/", {"on": "0"})
    client.post(f"{THERE}delete/")
    assert says(client) == [
        f"The refetch of {IDN} is queued.",
        f"A fetch of {IDN} is queued already; nothing was added.",
        f"The fetch of {IDN} is queued already; nothing was added.",
        f"The mail hosts of {IDN} are probed within a few minutes, and then daily.",
        f"The mail hosts of {IDN} are not probed any more.",
        f"{IDN} is forgotten. The next lookup fetches its policy anew.",
    ]
    assert row.domain == "münchen.example"


@pytest.mark.parametrize(
    ("scope", "target", "shown"),
    [
        ("domain", "münchen.example", IDN),
        ("suffix", ".münchen.example", ".münchen.example (.xn--mnchen-3ya.example)"),
        ("mx", "*.a.example", "*.a.example"),
        ("everything", "", "everything"),
        ("domain", "no domain", "no domain"),
    ],
)
def test_an_exception_says_both_forms_of_what_it_is_about(
    scope: str, target: str, shown: str, as_: As
) -> None:
    row = PolicyException.objects.create(
        scope=scope, target=target, action="skip", reason="r", owner="o",
        until=timezone.now() + making.DAY,
    )  # fmt: skip
    client, address = as_("superuser"), f"/exceptions/{row.pk}/end/"
    assert f"End the exception for {shown}?" in client.get(address).content.decode()
    client.post(address)
    assert f"skip {shown}" in client.get("/audit/").content.decode()


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\' {{ 7*7 }} {% now "Y" %}'


def test_text_from_outside_is_text(as_: As) -> None:
    row = making.record(
        "one.example",
        record_id="<b>id</b>",
        mx=[HOSTILE],
        extensions=[[HOSTILE, HOSTILE]],
        policy_text=HOSTILE,
        outcome_type="sts",
        outcome_failure="sts-policy-fetch-error",
        outcome_reason=HOSTILE,
        failed_id=HOSTILE[:32],
        failure_type="sts-policy-fetch-error",
        failure_reason=HOSTILE,
    )
    Fetch.objects.create(
        domain=row.domain, source="operator", state="done", outcome="failed",
        message=HOSTILE, failure_type="x", failure_reason=HOSTILE, record_id=HOSTILE[:32],
    )  # fmt: skip
    admin = f"/admin/policies/policyrecord/{row.pk}/change/"
    for path in ("/policies/", ONE, f"{ONE}row/", f"{ONE}delete/", admin, "/admin/policies/fetch/"):
        html = as_("superuser").get(path).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "<b>id" not in html


def test_a_policy_that_does_not_parse_is_shown_with_its_line(as_: As) -> None:
    making.backing_off("one.example", policy_text="version: STSv1\nmode: enforced\nmax_age: 1\n")
    Fetch.objects.create(
        domain="one.example", source="lookup", state="done", outcome="failed",
        message='line 2: mode "enforced" is none of enforce, testing, none',
    )  # fmt: skip
    html = as_("viewer").get(ONE).content.decode()
    assert '<span class="line bad">mode: enforced' in html
