"""What is done to many policies at once: asked first, done once, told in numbers."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from django_q.models import OrmQ

from mtastsweb import login
from policies import queue, summary
from policies.models import Change, Job, PolicyRecord
from policies.views import bulk
from tests.pages import making
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db


def names() -> set[str]:
    return set(PolicyRecord.objects.values_list("domain", flat=True))


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
        data = {"all": "1", "confirmed": "1"}
        page = client.post("/policies/bulk/refetch/?q=d0", data, follow=True)
        job = Job.objects.get()
        assert (job.total, job.requested_by and job.requested_by.username) == (5, "operator")
        assert PolicyRecord.objects.filter(job=job.pk).count() == 5
        assert f"5 queued as job {job.pk}.".encode() in page.content
        again = client.post("/policies/bulk/refetch/", data, follow=True)
        assert b"1 queued as job" in again.content
        assert b"5 queued already." in again.content
        assert LogEntry.objects.count() == 2

    def test_begins_at_once_and_not_with_the_next_minute(self, as_: As) -> None:
        client = as_("operator")
        data = {"all": "1", "confirmed": "1"}
        making.many(2)
        for _ in range(2):  # the second time all are queued already
            client.post("/policies/bulk/refetch/", data)
        assert [task.func() for task in OrmQ.objects.all()] == [queue.TICK]

    def test_of_ticked_rows_is_about_those_alone(self, as_: As) -> None:
        for domain in ("a.example", "b.example", "c.example"):
            making.record(domain)
        data = {"domain": ["a.example", "b.example", "gone.example"], "confirmed": "1"}
        as_("operator").post("/policies/bulk/refetch/", data)
        asked = PolicyRecord.objects.exclude(job=None).values_list("domain", flat=True)
        assert set(asked) == {"a.example", "b.example"}

    def test_can_be_stopped_once(self, as_: As) -> None:
        making.many(3)
        client = as_("operator")
        client.post("/policies/bulk/refetch/", {"all": "1", "confirmed": "1"})
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
        done = client.post("/policies/bulk/delete/", {"domain": "a.example", "confirmed": "1"})
        assert done.status_code == 303
        assert names() == {"b.example"}
        assert LogEntry.objects.get().object_repr == "a.example"

    def test_twice_is_no_error(self, as_: As) -> None:
        making.record("a.example")
        client = as_("operator")
        data = {"domain": "a.example", "confirmed": "1"}
        client.post("/policies/bulk/delete/", data)
        page = client.post("/policies/bulk/delete/", data, follow=True)
        assert b"Nothing is selected" in page.content

    def test_asks_again_where_more_match_than_the_question_named(self, as_: As) -> None:
        making.many(2)
        client = as_("operator")
        making.record("late.example")
        page = client.post("/policies/bulk/delete/", {"all": "1", "confirmed": "2"})
        assert b"More match by now: 3, not 2." in page.content
        assert b'name="confirmed" value="3"' in page.content
        assert len(names()) == 3
        client.post("/policies/bulk/delete/", {"all": "1", "confirmed": "3"})
        assert not names()

    def test_refuses_more_than_one_click_should_do(
        self, as_: As, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "DELETED_AT_ONCE", 2)
        making.many(3)
        data = {"all": "1", "confirmed": "1"}
        page = as_("operator").post("/policies/bulk/delete/", data, follow=True)
        assert b"Nothing was deleted: narrow the filters" in page.content
        assert len(names()) == 3


@pytest.mark.parametrize("action", ["refetch", "delete"])
def test_the_back_button_leads_to_a_question_or_a_word_and_does_nothing(
    action: str, as_: As
) -> None:
    """Back from the list is the question, which a browser gets by sending the ticks again."""
    making.record("a.example")
    client = as_("operator")
    question = (f"/policies/bulk/{action}/?q=a", {"domain": "a.example"})
    client.post(*question)
    client.post(question[0], question[1] | {"confirmed": "1"})
    done = (names(), Job.objects.count(), LogEntry.objects.count())
    back = client.post(*question, follow=True)
    assert back.status_code == 200
    said = b"Refetch 1 policy?" if action == "refetch" else b"Nothing is selected"
    assert said in back.content
    assert (names(), Job.objects.count(), LogEntry.objects.count()) == done


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
