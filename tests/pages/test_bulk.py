"""What is done to many policies at once: asked first, done once, told in numbers."""

from __future__ import annotations

import copy
import csv
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from mtastsweb import login
from policies import narrowing, questions, queue, summary
from policies.models import Change, Fetch, Job, Lease, PolicyRecord
from policies.views import bulk
from tests.pages import making
from tests.pages.conftest import As, someone

pytestmark = pytest.mark.django_db


def names() -> set[str]:
    return set(PolicyRecord.objects.values_list("domain", flat=True))


def asked(client: Client, address: str, form: dict[str, Any]) -> str:
    """The question that comes first."""
    return str(client.post(address, form).context["question"])


def confirm(client: Client, address: str, form: dict[str, Any]) -> HttpResponse:
    """Ask and answer yes; the page that follows."""
    return client.post(address, form | {"question": asked(client, address, form)}, follow=True)


class TestRefetch:
    def test_says_first_what_will_happen_and_to_how_many(self, as_: As) -> None:
        making.many(7)
        page = as_("operator").post("/policies/bulk/refetch/?q=d0", {"all": "1"})
        assert b"Refetch 7 policies?" in page.content
        assert not Job.objects.exists()

    def test_marks_all_that_match_in_one_job_and_tells_how_many(self, as_: As) -> None:
        making.many(5)
        making.record("other.example")
        client = as_("operator")
        page = confirm(client, "/policies/bulk/refetch/?q=d0", {"all": "1"})
        job = Job.objects.get()
        assert (job.total, job.requested_by and job.requested_by.username) == (5, "operator")
        assert PolicyRecord.objects.filter(job=job.pk).count() == 5
        assert f"5 queued as job {job.pk}.".encode() in page.content
        again = confirm(client, "/policies/bulk/refetch/", {"all": "1"})
        assert b"1 queued as job" in again.content
        assert b"5 queued already." in again.content
        assert LogEntry.objects.count() == 2

    def test_begins_at_once_and_not_with_the_next_minute(self, as_: As) -> None:
        making.many(2)
        confirm(as_("operator"), "/policies/bulk/refetch/", {"all": "1"})
        assert [task.func() for task in OrmQ.objects.all()] == [queue.TICK]

    def test_of_what_is_queued_already_makes_no_empty_job(self, as_: As) -> None:
        making.many(2)
        client = as_("operator")
        confirm(client, "/policies/bulk/refetch/", {"all": "1"})
        page = confirm(client, "/policies/bulk/refetch/", {"all": "1"})
        assert b"2 queued already; nothing was added." in page.content
        assert (Job.objects.count(), LogEntry.objects.count()) == (1, 1)

    def test_of_ticked_rows_is_about_those_alone_and_names_those_that_there_are(
        self, as_: As
    ) -> None:
        for domain in ("a.example", "münchen.example", "c.example"):
            making.record(domain)
        client = as_("operator")
        form = {"domain": ["a.example", "münchen.example", "gone.example"]}
        page = client.post("/policies/bulk/refetch/", form)
        html = page.content.decode()
        assert "Refetch 2 policies?" in html
        assert "xn--mnchen-3ya.example" in html
        assert "gone.example" not in html
        assert "1 of those that were ticked is not cached any more" in html
        PolicyRecord.objects.filter(domain="a.example").delete()
        form = {"domain": page.context["domains"], "question": page.context["question"]}
        done = client.post("/policies/bulk/refetch/", form, follow=True)
        assert b"1 skipped, not cached any more." in done.content.replace(b"\n", b"")
        marked = PolicyRecord.objects.exclude(job=None).values_list("domain", flat=True)
        assert set(marked) == {"münchen.example"}

    def test_of_one_ticked_row_asks_as_little_as_its_own_button(self, as_: As) -> None:
        making.record("a.example")
        form = {"domain": "a.example", "next": "/policies/?q=a"}
        page = as_("operator").post("/policies/bulk/refetch/?q=a", form)
        assert page.headers["Location"] == "/policies/?q=a"
        assert Fetch.objects.get().domain == "a.example"
        assert not Job.objects.exists()

    def test_can_be_stopped_once(self, as_: As) -> None:
        making.many(3)
        client = as_("operator")
        confirm(client, "/policies/bulk/refetch/", {"all": "1"})
        job = Job.objects.get()
        assert b"is stopped" in client.post(f"/jobs/{job.pk}/stop/", follow=True).content
        assert b"ended already" in client.post(f"/jobs/{job.pk}/stop/", follow=True).content
        assert not PolicyRecord.objects.exclude(job=None).exists()


class TestDelete:
    def test_asks_and_forgets_what_was_ticked(self, as_: As) -> None:
        for domain in ("a.example", "b.example"):
            making.record(domain)
        client = as_("operator")
        page = client.post("/policies/bulk/delete/", {"domain": "a.example"})
        assert b"Delete 1 policy?" in page.content
        assert names() == {"a.example", "b.example"}
        form = {"domain": "a.example", "question": page.context["question"]}
        assert client.post("/policies/bulk/delete/", form).status_code == 303
        assert names() == {"b.example"}
        assert LogEntry.objects.get().object_repr == "a.example"

    def test_of_what_has_gone_is_no_error(self, as_: As) -> None:
        making.record("a.example")
        client = as_("operator")
        question = asked(client, "/policies/bulk/delete/", {"domain": "a.example"})
        PolicyRecord.objects.all().delete()
        form = {"domain": "a.example", "question": question}
        page = client.post("/policies/bulk/delete/", form, follow=True)
        assert b"None of these policies is cached any more" in page.content

    def test_asks_again_where_more_match_than_the_question_named(self, as_: As) -> None:
        making.many(2)
        client = as_("operator")
        question = asked(client, "/policies/bulk/delete/", {"all": "1"})
        making.record("late.example")
        page = client.post("/policies/bulk/delete/", {"all": "1", "question": question})
        assert b"More match by now: 3, not 2." in page.content
        assert len(names()) == 3
        again = {"all": "1", "question": page.context["question"]}
        client.post("/policies/bulk/delete/", again)
        assert not names()

    def test_refuses_more_than_one_click_should_do(
        self, as_: As, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "DELETED_AT_ONCE", 2)
        making.many(3)
        page = as_("operator").post("/policies/bulk/delete/", {"all": "1"}, follow=True)
        assert b"Nothing was deleted: narrow the filters" in page.content
        assert len(names()) == 3


class TestAllThatMatch:
    """The list says how many that is, as far as it is known without counting a million rows."""

    def test_is_a_number_where_a_page_holds_all(self, as_: As) -> None:
        making.many(3)
        page = as_("operator").get("/policies/?q=d0").content.decode()
        assert "Refetch all 3 that match…" in page
        assert "Delete all 3 that match…" in page

    def test_is_a_number_where_an_index_finds_few(self, as_: As) -> None:
        making.many(60)
        making.record("late.example", mode="testing")
        page = as_("operator").get("/policies/?mode=enforce&sort=domain").content.decode()
        assert "Refetch all 60 that match…" in page

    def test_is_about_a_number_where_a_tile_has_counted_it(self, as_: As) -> None:
        making.many(60)
        summary.count(timezone.now())
        client = as_("operator")
        for address in ("/policies/", "/policies/?mode=enforce"):
            assert "Delete all ≈ 60 that match…" in client.get(address).content.decode()

    def test_is_not_known_where_that_would_take_too_long(
        self, as_: As, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(narrowing, "FEW", 10)
        making.many(60)
        page = as_("operator").get("/policies/?mode=enforce&state=valid").content.decode()
        assert "Refetch all that match…" in page


class TestRowsOfAJob:
    def test_show_what_becomes_of_them_and_ask_again_until_it_has_ended(self, as_: As) -> None:
        making.many(2)
        client = as_("operator")
        confirm(client, "/policies/bulk/refetch/", {"all": "1"})
        page = client.get("/policies/").content.decode()
        assert page.count('class="queued" hx-get=') == 2
        assert '<noscript><meta http-equiv="refresh"' in page
        assert "Refetch d000000.example" not in page  # its button
        address = "/policies/d000000.example/"
        one = PolicyRecord.objects.filter(domain="d000000.example")
        one.update(claim="x", claimed_until=timezone.now() + making.DAY)
        assert 'class="running" hx-get=' in client.get(f"{address}row/").content.decode()
        assert 'id="policy" hx-get=' in client.get(address).content.decode()
        one.update(job=None, claim="", claimed_until=None)
        row = client.get(f"{address}row/").content.decode()
        assert "hx-get" not in row
        assert "Refetch d000000.example" in row
        assert 'id="policy" hx-get=' not in client.get(address).content.decode()

    def test_are_free_again_once_it_is_stopped(self, as_: As) -> None:
        making.many(2)
        client = as_("operator")
        confirm(client, "/policies/bulk/refetch/", {"all": "1"})
        client.post(f"/jobs/{Job.objects.get().pk}/stop/")
        assert "queued" not in client.get("/policies/d000000.example/row/").content.decode()


class TestQuestion:
    """The page of a question comes back as it was by the back button: it is answered once."""

    @pytest.mark.parametrize("action", ["refetch", "delete"])
    def test_is_answered_once(self, action: str, as_: As) -> None:
        making.many(2)
        client, address = as_("operator"), f"/policies/bulk/{action}/"
        form = {"all": "1", "question": asked(client, address, {"all": "1"})}
        client.post(address, form)
        PolicyRecord.objects.update(job=None)  # the refetch has ended
        making.record("late.example")  # and this came in since
        done = (names(), Job.objects.count(), LogEntry.objects.count())
        page = client.post(address, form, follow=True)
        assert bulk.ANSWERED.encode() in page.content
        assert (names(), Job.objects.count(), LogEntry.objects.count()) == done

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("action", ["refetch", "delete"])
    def test_is_answered_once_by_a_double_click(self, action: str, as_: As) -> None:
        making.many(3)
        client, address = as_("superuser"), f"/policies/bulk/{action}/"
        form = {"all": "1", "question": asked(client, address, {"all": "1"})}
        both = threading.Barrier(2)

        def click() -> int:
            browser = Client()
            browser.cookies = copy.deepcopy(client.cookies)
            both.wait()
            try:
                return browser.post(address, form).status_code
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            statuses = [each.result() for each in [threads.submit(click) for _ in range(2)]]
        assert statuses == [303, 303]
        jobs, entries = (1, 1) if action == "refetch" else (0, 3)
        assert (Job.objects.count(), LogEntry.objects.count()) == (jobs, entries)

    @pytest.mark.parametrize(
        "changed", [{"all": ""}, {"domain": "d000001.example"}, {"question": "x:y:z"}]
    )
    def test_is_asked_anew_where_it_was_about_something_else(
        self, changed: dict[str, str], as_: As
    ) -> None:
        making.many(2)
        client, address = as_("operator"), "/policies/bulk/delete/?q=d000000"
        question = asked(client, address, {"domain": "d000000.example"})
        form = {"domain": "d000000.example", "question": question} | changed
        page = client.post(address, form)
        assert page.context["question"] != question
        assert len(names()) == 2

    def test_of_another_user_is_none(self, as_: As) -> None:
        making.many(2)
        address = "/policies/bulk/delete/"
        form = {"all": "1", "question": asked(as_("operator"), address, {"all": "1"})}
        assert as_("superuser").post(address, form).status_code == 200
        assert len(names()) == 2

    def test_that_waits_for_more_than_a_day_is_asked_again(
        self, as_: As, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        making.many(2)
        client, address = as_("operator"), "/policies/bulk/delete/"
        form = {"all": "1", "question": asked(client, address, {"all": "1"})}
        monkeypatch.setattr(questions, "OPEN_FOR", timedelta(seconds=-1))
        assert client.post(address, form).status_code == 200
        assert len(names()) == 2

    def test_is_forgotten_once_it_is_too_old_to_be_answered_again(self, as_: As) -> None:
        making.many(2)
        confirm(as_("operator"), "/policies/bulk/delete/", {"all": "1"})
        now = timezone.now()
        answered = Lease.objects.filter(name__startswith=questions.ANSWERED)
        questions.forget(now)
        assert answered.count() == 1
        questions.forget(now + questions.OPEN_FOR)
        assert not answered.exists()


FORMS = [
    ("/exceptions/add/", "/exceptions/add/?target=a.example"),
    ("/exceptions/import/", "/exceptions/import/"),
    ("/exceptions/7/end/", "/exceptions/7/end/"),
    ("/exceptions/pause/", "/exceptions/pause/"),
    ("/alerts/7/acknowledge/", "/alerts/7/"),
    ("/policies/bulk/delete/?q=a", "/policies/?q=a"),
    ("/policies/a.example/probe/", "/policies/a.example/"),
    ("/jobs/7/stop/", "/fetches/"),
]


@pytest.mark.parametrize(("address", "page"), FORMS)
def test_a_session_that_ends_in_mid_form_leads_back_to_its_page(
    address: str, page: str, as_: As
) -> None:
    making.record("a.example")
    client = as_("operator")
    client.session.flush()
    answer = client.post(
        address, {"domain": "a.example"}, headers={"referer": f"http://testserver{page}"}
    )
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/accounts/login/?{urlencode({'next': page}, safe='/')}"
    assert login.NOTHING_DONE in client.get(answer.headers["Location"]).content.decode()


AT_THE_ADDRESS_OF_A_FORM = [
    ("/policies/bulk/delete/?q=a", {"domain": "a.example"}, "/policies/?q=a"),
    ("/policies/bulk/refetch/?mode=enforce", {"all": "1"}, "/policies/?mode=enforce"),
    ("/check/store/", {"domain": "no name"}, "/check/"),
    ("/alerts/7/acknowledge/", {"note": "x" * 3000}, "/alerts/7/"),
]


@pytest.mark.parametrize(("address", "form", "page"), AT_THE_ADDRESS_OF_A_FORM)
def test_a_session_that_ends_on_a_page_that_a_form_made_leads_to_a_page(
    address: str, form: dict[str, str], page: str, as_: As
) -> None:
    """Such a page has the form's own address, and the browser names that as where it comes from."""
    making.record("a.example")
    making.record("aa.example")
    making.alert("a.example", pk=7)
    client = as_("operator")
    assert client.post(address, form).status_code == 200
    client.session.flush()
    referer = f"http://testserver{address}"
    to_login = client.post(address, form, headers={"referer": referer}).headers["Location"]
    client.force_login(someone("operator"), "django.contrib.auth.backends.ModelBackend")
    back = client.get(to_login, follow=True)
    assert back.status_code == 200
    assert back.redirect_chain[-1][0] == page
    assert login.NOTHING_DONE in back.content.decode()
    assert names() == {"a.example", "aa.example"}


class TestExport:
    def test_as_json_has_the_fields_by_name(self, as_: As) -> None:
        making.record("a.example", mx=["mx.a.example"])
        making.record("b.example", mode="testing")
        body = as_("viewer").get("/policies/export.json?mode=testing").getvalue()
        rows = [json.loads(line) for line in body.splitlines()]
        assert [row["domain"] for row in rows] == ["b.example"]
        assert set(rows[0]) >= {"valid_end", "last_use", "policy_text", "extensions"}

    def test_as_csv_holds_no_formula(self, as_: As) -> None:
        making.record("a.example", policy_text="=cmd|' /C calc'!A0\n")
        body = as_("viewer").get("/policies/export.csv").getvalue().decode()
        rows = list(csv.DictReader(io.StringIO(body)))
        assert rows[0]["policy_text"].startswith("'=cmd")


class TestTiles:
    def test_are_links_to_what_they_count(self, as_: As) -> None:
        now = timezone.now()
        making.record("a.example", valid_end=now + timedelta(days=9))
        making.record("b.example", mode="testing", valid_end=now + timedelta(hours=2))
        making.backing_off("c.example")
        summary.count(now)
        client = as_("viewer")
        page = client.get("/policies/").content.decode()
        for words in ("≈ 2</b> cached", "≈ 1</b> testing", "≈ 1</b> backing off"):
            assert words in page
        assert 'href="?state=expiring"' in page
        assert 'aria-current="true"' in client.get("/policies/?mode=testing").content.decode()

    def test_filters_are_chips_that_take_them_away(self, as_: As) -> None:
        making.record("a.example")
        page = as_("viewer").get("/policies/?q=a&mode=enforce&used=day").content.decode()
        assert "domain: a" in page
        assert 'class="chip" href="?q=a&amp;used=day"' in page
        assert "used: within a day" in page


def test_the_list_tells_of_changes_since_it_was_shown(as_: As) -> None:
    making.record("a.example")
    seq = Change.objects.latest("seq").seq
    client = as_("viewer")
    assert client.get(f"/policies/changed/?since={seq}").content.strip() == b""
    making.record("b.example")
    assert b"1 change since" in client.get(f"/policies/changed/?since={seq}").content
    assert client.get("/policies/changed/?since=٣").content.strip() == b""
