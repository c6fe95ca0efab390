"""`/alerts/` and what pages say of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import alert_listing, alerts, cache
from policies.alert_listing import Filters
from policies.alerts.kinds import Kind
from policies.models import Alert, Message
from policies.views import alerts as alert_page
from tests.pages import making, plans
from tests.pages.conftest import As, someone
from tests.worlds import TESTING, Script

pytestmark = pytest.mark.django_db

NOW = timezone.now()
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _counted_anew() -> Iterator[None]:
    """The count in the navigation is remembered for some seconds."""
    alerts._unread.forget()
    yield
    alerts._unread.forget()


@pytest.fixture
def viewer(as_: As) -> Client:
    return as_("viewer")


def shown(filters: str = "") -> list[str]:
    page = alert_listing.page(Filters.read(QueryDict(filters)))
    return [alert.domain for alert in page.rows]


def test_the_log_says_both_forms_of_the_name_of_an_alert(as_: As) -> None:
    alert = making.alert("münchen.example")
    operator = as_("operator")
    operator.post(f"/alerts/{alert.pk}/acknowledge/", {"note": "known"})
    page = operator.get("/audit/").content.decode()
    assert "münchen.example (xn--mnchen-3ya.example): record-gone" in page


class TestTheList:
    def test_has_open_ones_first_and_each_part_newest_first(self) -> None:
        making.alert("old.example", opened_at=NOW - HOUR)
        making.alert("over.example", closed_at=NOW, closed_because="well")
        making.alert("new.example", opened_at=NOW - HOUR / 2)
        assert shown() == ["new.example", "old.example", "over.example"]
        assert shown("show=closed") == ["over.example"]

    def test_is_filtered(self) -> None:
        making.alert("gone.example")
        making.alert("weak.example", Kind.ENFORCE_TO_TESTING, state="confirmed")
        making.alert("known.example", acknowledged_at=NOW, opened_at=NOW - HOUR)
        assert shown("severity=notice") == ["weak.example"]
        assert shown("kind=record-gone") == ["gone.example", "known.example"]
        assert shown("state=confirmed") == ["weak.example"]
        assert shown("state=acknowledged") == ["known.example"]
        assert shown("state=new&severity=warning") == ["gone.example"]
        assert shown("domain=GONE.example.") == ["gone.example"]
        assert shown("domain=nothing.example") == []

    def test_is_paged_to_its_end_and_back(self, viewer: Client) -> None:
        for at in range(120):
            ended = {"closed_at": NOW, "closed_because": "well"} if at % 2 else {}
            making.alert(f"d{at}.example", opened_at=NOW - at * HOUR, **ended)
        forward: list[list[int]] = []
        after = ""
        while True:
            page = alert_listing.page(Filters(), after=after)
            forward.append([row.pk for row in page.rows])
            if not (after := page.after):
                break
        assert sorted(chain.from_iterable(forward)) == sorted(
            Alert.objects.values_list("pk", flat=True)
        )
        back = alert_listing.page(Filters(), before=page.before)
        assert [row.pk for row in back.rows] == forward[-2]
        assert viewer.get("/alerts/").content.count(b"<tr data-row") == 50

    def test_says_why_it_is_empty(self, viewer: Client) -> None:
        assert b"No alert yet" in viewer.get("/alerts/").content
        assert b"No alert matches" in viewer.get("/alerts/?kind=mx-widened").content

    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.dictionaries(
            st.sampled_from(["domain", "severity", "kind", "state", "show", "after", "before"]),
            st.text(max_size=40) | st.sampled_from(["0.1.1", "1.9.9", "9.9.9", "0.99999999999.1"]),
        )
    )
    def test_takes_any_query(self, viewer: Client, query: dict[str, str]) -> None:
        cleaned = {key: value.encode("utf-8", "replace").decode() for key, value in query.items()}
        assert viewer.get("/alerts/", cleaned).status_code == 200

    @pytest.mark.parametrize("count", [1, 50])
    def test_takes_a_fixed_number_of_queries(
        self, count: int, viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for at in range(count):
            making.alert(f"d{at}.example", acknowledged_by=someone("operator"))
        viewer.get("/alerts/")
        # Session, user, what the user may (two), a pause, open ones, those that are over, cached
        # ones, and what could not be delivered.
        with django_assert_num_queries(9):
            viewer.get("/alerts/")

    @pytest.mark.parametrize(
        "query", ["show=open", "show=closed", "kind=record-gone&show=open", "domain=d1.example"]
    )
    def test_reads_by_an_index(self, query: str) -> None:
        for at in range(30):
            making.alert(f"d{at}.example")
        with CaptureQueriesContext(connection) as captured:
            shown(query)
        assert not plans.of(captured, "policies_alert").reads_a_whole_table


class TestAnAlert:
    def test_shows_the_evidence_side_by_side(self, viewer: Client) -> None:
        alert = making.alert(
            "weak.example",
            Kind.ENFORCE_TO_TESTING,
            after_text=TESTING,
            evidence={
                "before": {"record_id": "1", "mode": "enforce", "max_age": 86_400, "mx": []},
                "after": {"mode": "testing", "max_age": 86_400, "mx": []},
                "dns": {"id": "2", "txt": ["v=STSv1; id=2"]},
                "failure": {
                    "type": "sts-webpki-invalid",
                    "reason": "certificate-expired",
                    "message": "certificate has expired",
                },
                "certificate": {
                    "issuer": "A Test CA",
                    "names": ["mta-sts.weak.example"],
                    "not_before": NOW.isoformat(),
                    "not_after": NOW.isoformat(),
                },
            },
        )
        html = viewer.get(f"/alerts/{alert.pk}/").content.decode()
        for part in (
            "mode: enforce", "mode: testing", "v=STSv1; id=2", "mta-sts.weak.example",
            "A Test CA", "sts-webpki-invalid: certificate-expired", 'class="removed"',
            'class="added"',
        ):  # fmt: skip
            assert part in html

    def test_says_that_the_cached_policy_stays_in_force(self, viewer: Client) -> None:
        making.record("gone.example")
        alert = making.alert("gone.example")
        html = viewer.get(f"/alerts/{alert.pk}/").content.decode()
        assert "The cached policy stays in force until" in html
        absent = making.alert("absent.example")
        html = viewer.get(f"/alerts/{absent.pk}/").content.decode()
        assert "No policy of this domain is in force here now" in html

    def test_hostile_evidence_is_only_text(self, viewer: Client) -> None:
        evil = "<script>alert(1)</script>"
        alert = making.alert(
            "evil.example", before_text=evil, after_text=evil + "x",
            evidence={"dns": {"txt": [evil], "error": evil}},
        )  # fmt: skip
        html = viewer.get(f"/alerts/{alert.pk}/").content.decode()
        assert evil not in html
        assert "&lt;script&gt;" in html

    def test_is_acknowledged_with_a_note_which_the_log_has(self, as_: As) -> None:
        alert = making.alert("gone.example")
        operator = as_("operator")
        answer = operator.post(f"/alerts/{alert.pk}/acknowledge/", {"note": " asked them\0 "})
        assert answer.status_code == 303
        alert.refresh_from_db()
        assert (alert.note, alert.is_open) == ("asked them", True)
        assert alert.acknowledged_by == someone("operator")
        assert "asked them" in LogEntry.objects.get().change_message
        assert b"Acknowledged: asked them" in operator.get("/audit/").content
        assert b"asked them" in as_("viewer").get(f"/alerts/{alert.pk}/").content

    def test_a_note_that_is_too_long_loses_nothing(self, as_: As) -> None:
        alert = making.alert("gone.example", note="before")
        operator = as_("operator")
        page = operator.post(f"/alerts/{alert.pk}/acknowledge/", {"note": "x" * 2001})
        alert.refresh_from_db()
        assert (alert.note, alert.acknowledged_at) == ("before", None)
        assert b"2001 characters" in page.content
        assert b"x" * 2001 in page.content

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_shows_its_note_once(self, as_: As, role: str) -> None:
        now = timezone.now()
        alert = making.alert("gone.example", note="asked them", acknowledged_at=now)
        page = as_(role).get(f"/alerts/{alert.pk}/").content.decode()
        assert page.count("asked them") == 1

    def test_a_note_that_fits_in_the_browser_fits(self, as_: As) -> None:
        alert = making.alert("gone.example")
        note = "\r\n".join(["x" * 9] * 200)  # 1999 characters as a browser counts
        as_("operator").post(f"/alerts/{alert.pk}/acknowledge/", {"note": note})
        alert.refresh_from_db()
        assert len(alert.note) == 1999

    def test_a_double_click_acknowledges_once(self, as_: As) -> None:
        alert = making.alert("gone.example")
        operator = as_("operator")
        form = {"note": "known", "shown": "none"}
        for _ in range(2):
            answer = operator.post(f"/alerts/{alert.pk}/acknowledge/", form)
            assert answer.status_code == 303
        assert LogEntry.objects.count() == 1

    def test_nobody_overwrites_a_note_that_they_have_not_seen(self, as_: As) -> None:
        alert = making.alert("gone.example")
        page = as_("operator").get(f"/alerts/{alert.pk}/").content.decode()
        shown = page.partition('name="shown" value="')[2].partition('"')[0]
        as_("administrator").post(f"/alerts/{alert.pk}/acknowledge/", {"note": "told them"})
        form = {"note": "who knows?", "shown": shown}
        late = as_("operator").post(f"/alerts/{alert.pk}/acknowledge/", form).content.decode()
        assert "Somebody else acknowledged it while you wrote" in late
        assert "told them" in late
        assert "who knows?" in late
        alert.refresh_from_db()
        assert alert.note == "told them"
        shown = late.partition('name="shown" value="')[2].partition('"')[0]
        as_("operator").post(f"/alerts/{alert.pk}/acknowledge/", form | {"shown": shown})
        alert.refresh_from_db()
        assert alert.note == "who knows?"

    def test_what_another_has_just_deleted_is_told_as_gone(
        self, as_: As, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alert = making.alert("gone.example")
        found = alert_page._find

        def find_and_lose(pk: int) -> Alert:
            found_row = found(pk)
            Alert.objects.all().delete()
            return found_row

        monkeypatch.setattr(alert_page, "_find", find_and_lose)
        answer = as_("operator").post(f"/alerts/{alert.pk}/acknowledge/", {"note": "x"})
        assert answer.status_code == 404
        assert not LogEntry.objects.exists()


def test_what_could_not_be_delivered_is_told_on_the_page(viewer: Client) -> None:
    Message.objects.create(
        key="1", channel="webhook", created=NOW, due_at=NOW, attempts=3,
        error="the receiver answers 500",
    )  # fmt: skip
    html = viewer.get("/alerts/").content.decode()
    assert "1 message about alerts could not be delivered yet: the receiver answers 500" in html
    Message.objects.update(sent_at=NOW, due_at=None)
    assert b"could not be delivered" not in viewer.get("/alerts/").content


class TestOtherPages:
    def test_the_navigation_counts_warnings_that_nobody_has_acknowledged(
        self, viewer: Client
    ) -> None:
        making.alert("one.example")
        making.alert("two.example", acknowledged_at=NOW)
        making.alert("three.example", Kind.MX_WIDENED)
        assert b'Alerts <span class="nav-count">1</span>' in viewer.get("/fetches/").content

    def test_the_list_and_the_policy_say_that_there_is_one(self, viewer: Client) -> None:
        making.record("gone.example", open_alerts=Kind.RECORD_GONE.bit)
        making.record("fine.example")
        alert = making.alert("gone.example")
        html = viewer.get("/policies/").content.decode()
        assert html.count('title="record gone">alert</span>') == 1
        only = viewer.get("/policies/?state=alert").content.decode()
        assert "gone.example" in only
        assert "fine.example" not in only
        page = viewer.get("/policies/gone.example/").content.decode()
        assert f'href="/alerts/{alert.pk}/"' in page
        assert "The cached policy stays in force until its end." in page

    def test_why_mail_waits_is_three_clicks_away(self, viewer: Client) -> None:
        """From the list: the alerts, the domain's, and there are cause and remedy."""
        making.record("gone.example", open_alerts=Kind.CERTIFICATE_REFUSED.bit)
        alert = making.alert("gone.example", Kind.CERTIFICATE_REFUSED)
        assert 'href="/alerts/"' in viewer.get("/policies/").content.decode()
        assert f'href="/alerts/{alert.pk}/"' in viewer.get("/alerts/").content.decode()
        html = viewer.get(f"/alerts/{alert.pk}/").content.decode()
        assert Kind.CERTIFICATE_REFUSED.remedy.partition(".")[0].replace("'", "&#x27;") in html


def test_the_outcomes_of_a_day_stand_beside_the_version_held_then(
    script: Script, viewer: Client
) -> None:
    script.time = NOW
    script.publish()
    cache.get("weak.example")
    script.publish(TESTING, "2")
    cache.get("weak.example")
    html = " ".join(viewer.get("/policies/weak.example/").content.decode().split())
    assert "Policy then" in html
    cells = html.partition("Policy then")[2].partition("</tbody>")[0]
    assert '>testing</span> <span class="mono">2</span>, before' in cells
    assert '>enforce</span> <span class="mono">1</span></td>' in cells
