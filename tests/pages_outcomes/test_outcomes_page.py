"""`/outcomes/`: who may see it, what the filters leave, and that all numbers agree."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from policies import alerts, outcome_listing, outcomes
from policies.models import Outcome
from policies.outcome_listing import Filters
from policies.outcomes import Seen, Source
from policies.outcomes.days import total
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(hour=0, minute=0, second=1)
TODAY = NOW.date()
CERTIFICATE = FailureDetails("sts-webpki-invalid", "certificate-expired")
FALLBACK = FailureDetails("sts-webpki-invalid", "self-signed+fallback-to-cached-policy")
INVALID = FailureDetails("sts-policy-invalid", "policy-syntax-error")
RESOLVER = FailureDetails("sts-policy-fetch-error", "dns-lookup+timeout")


def result(domain: str, *failures: FailureDetails) -> Result:
    lines = () if failures else ("version: STSv1",)
    return Result(ResultPolicy(PolicyType.STS, domain, lines), failures)


@pytest.fixture
def counted() -> None:
    """Lookups of today, of yesterday and of 40 days ago."""
    nobody = Result(ResultPolicy(PolicyType.NO_POLICY_FOUND, "nobody.example"))
    yesterday = NOW - timedelta(days=1)
    outcomes.record(
        [
            Seen(result("a.example"), NOW, 100),
            Seen(result("a.example", CERTIFICATE), NOW, 7),
            Seen(result("b.example", FALLBACK), NOW, 20),
            Seen(result("b.example", INVALID), NOW, 3),
            Seen(result("b.example"), NOW, 5, source=Source.REFRESH),
            Seen(nobody, NOW, 1000),
            Seen(result("c.example", RESOLVER), NOW, 50, resolver=True),
            Seen(result("a.example"), yesterday, 11),
            Seen(result("xn--mnchen-3ya.example", INVALID), yesterday, 2),
            Seen(result("old.example", INVALID), NOW - timedelta(days=40), 4),
        ]
    )


@pytest.fixture
def viewer(client: Client) -> Client:
    user = User.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    return client


def count_alerts_anew() -> None:
    """Every page shows the count, which is made anew when it is ten seconds old: not just now."""
    alerts._unread.forget()
    alerts.unread()


def filters(**query: str) -> Filters:
    return Filters.read(query)


PAGES = ("/outcomes/", "/outcomes/csv/", "/outcomes/report/")


@pytest.mark.parametrize("address", PAGES)
class TestWhoMaySeeIt:
    def test_a_viewer(self, viewer: Client, address: str) -> None:
        assert viewer.get(address).status_code == 200

    def test_nobody_without_login(self, client: Client, address: str) -> None:
        assert client.get(address).status_code == 302

    def test_nobody_without_the_permission(self, client: Client, address: str) -> None:
        client.force_login(User.objects.create_user("nobody"))
        assert client.get(address).status_code == 403

    def test_only_by_get(self, viewer: Client, address: str) -> None:
        assert viewer.post(address).status_code == 405


@pytest.mark.usefixtures("counted")
class TestNumbers:
    @pytest.mark.parametrize(
        ("query", "success", "fallback", "failure"),
        [
            ({}, 1105, 20, 10),
            ({"days": "7"}, 1116, 20, 12),
            ({"days": "90"}, 1116, 20, 16),
            ({"failures": "1"}, 0, 20, 10),
            ({"type": "sts-policy-invalid", "days": "90"}, 0, 0, 9),
            ({"type": "sts-webpki-invalid"}, 0, 20, 7),
            ({"type": "sts-policy-fetch-error"}, 0, 0, 0),
            ({"source": "refresh"}, 5, 0, 0),
            ({"source": "lookup"}, 1100, 20, 10),
            ({"q": "b.example"}, 5, 20, 3),
            ({"q": "b.example", "type": "sts-webpki-invalid"}, 0, 20, 0),
            ({"q": "=a.example", "days": "7", "failures": "1"}, 0, 0, 7),
            ({"q": "münchen", "days": "7"}, 0, 0, 2),
            ({"q": "=XN--MNCHEN-3YA.example", "days": "7"}, 0, 0, 2),
            ({"q": "nothing"}, 0, 0, 0),
        ],
    )
    def test_sums_rows_and_csv_agree(
        self, query: dict[str, str], success: int, fallback: int, failure: int
    ) -> None:
        chosen = filters(**query)
        numbers = total(outcome_listing.by_day(chosen, TODAY))
        assert (numbers.success, numbers.fallback, numbers.failure) == (success, fallback, failure)
        lines = [
            line.numbers
            for line in outcome_listing.page(chosen, TODAY).rows
            if line.row.kind != Outcome.Kind.RESOLVER
        ]
        assert sum(line.success for line in lines) == success
        assert sum(line.fallback for line in lines) == fallback
        assert sum(line.failure for line in lines) == failure
        table = csv.DictReader(io.StringIO("".join(outcome_listing.csv_rows(chosen, TODAY))))
        assert sum(int(row["failure"] or 0) for row in table) == failure

    def test_of_mail_servers_are_told_apart(self) -> None:
        assert total(outcome_listing.by_day(filters(), TODAY)).asked == 1130
        assert total(outcome_listing.by_day(filters(q="b.example"), TODAY)).asked == 23

    def test_our_resolver_s_failures_stand_apart(self) -> None:
        assert outcome_listing.resolver_failures(filters(), TODAY) == 50
        assert outcome_listing.resolver_failures(filters(source="refresh"), TODAY) == 0
        assert outcome_listing.resolver_failures(filters(q="c.example"), TODAY) == 0

    def test_each_day_has_its_own(self) -> None:
        days = outcome_listing.by_day(filters(days="7"), TODAY)
        assert [day.numbers.count for day in days] == [0, 0, 0, 0, 0, 13, 1135]
        assert [day.day for day in days] == [
            TODAY - timedelta(days=back) for back in range(6, -1, -1)
        ]


@pytest.mark.usefixtures("counted")
class TestPage:
    def test_shows_all_of_today_with_codes_verbatim(self, viewer: Client) -> None:
        page = viewer.get("/outcomes/").content.decode()
        for text in (
            "a.example",
            "sts-webpki-invalid: certificate-expired",
            "sts-webpki-invalid: self-signed+fallback-to-cached-policy",
            "using cached policy",
            "domains without MTA-STS",
            "our resolver failed",
            "1,135",
        ):
            assert text in page
        assert "xn--mnchen" not in page

    def test_what_failed_most_stands_first(self, viewer: Client) -> None:
        lines = viewer.get("/outcomes/").context["lines"]
        assert [line.row.failed for line in lines][:3] == [23, 7, 0]

    def test_draws_a_chart_that_needs_no_inline_style(self, viewer: Client) -> None:
        page = viewer.get("/outcomes/?days=90").content.decode()
        assert "<svg" in page
        assert 'class="fill bad"' in page
        assert "style=" not in page
        assert "<script>" not in page

    def test_links_a_report_for_each_day(self, viewer: Client) -> None:
        page = viewer.get("/outcomes/?days=7").content.decode()
        assert f"/outcomes/report/?day={TODAY - timedelta(days=1)}" in page

    def test_says_that_lookups_are_no_sessions(self, viewer: Client) -> None:
        page = viewer.get("/outcomes/").content.decode()
        assert "Lookups, not TLS sessions" in page
        assert "_smtp._tls" in page

    @pytest.mark.parametrize(
        "query",
        [
            "?days=1000000", "?days=x", "?source=nobody", "?type=%00", "?after=1", "?q=%00%FF",
            "?after=2026-13-01,1,1", "?before=2026-03-01,99999999999999999999,1", "?failures=2",
            "?q==", "?q=*", "?type=" + "x" * 5000,
        ],
    )  # fmt: skip
    def test_takes_whatever_stands_in_its_address(self, viewer: Client, query: str) -> None:
        assert viewer.get(f"/outcomes/{query}").status_code == 200
        assert viewer.get(f"/outcomes/csv/{query}").status_code == 200

    def test_asks_the_same_few_questions_however_many_rows_there_are(self, viewer: Client) -> None:
        viewer.get("/outcomes/")
        count_alerts_anew()
        with CaptureQueriesContext(connection) as few:
            viewer.get("/outcomes/")
        outcomes.record(Seen(result(f"m{n}.example", INVALID), NOW) for n in range(60))
        count_alerts_anew()
        with CaptureQueriesContext(connection) as many:
            viewer.get("/outcomes/")
        assert len(many) == len(few) <= 12


def test_an_empty_page_says_why(viewer: Client) -> None:
    assert "Nothing was counted on these days" in viewer.get("/outcomes/").content.decode()
    assert "No outcome matches" in viewer.get("/outcomes/?q=x").content.decode()


def test_pages_meet_without_gap_or_overlap() -> None:
    outcomes.record(
        Seen(result(f"d{number}.example", INVALID), NOW, 1 + number % 3) for number in range(130)
    )
    seen: list[int] = []
    after, pages = "", []
    while True:
        page = outcome_listing.page(filters(), TODAY, after=after)
        pages.append([line.row.pk for line in page.rows])
        seen += pages[-1]
        if not page.after:
            break
        after = page.after
    assert [len(some) for some in pages] == [50, 50, 30]
    assert len(set(seen)) == 130
    back = outcome_listing.page(filters(), TODAY, before=page.before)
    assert [line.row.pk for line in back.rows] == pages[1]
    assert not outcome_listing.page(filters(), TODAY, before=back.before).before


@pytest.mark.parametrize(
    "query", [{"days": "90"}, {"days": "90", "failures": "1"}, {"source": "operator"}]
)
def test_a_page_is_read_in_the_order_of_an_index(query: dict[str, str]) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # The planner would rather read and sort the few rows of a test.
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    found = outcome_listing.rows(filters(**query), TODAY).order_by("-day", "-failed", "-id")
    plan = found[:51].explain()
    assert "outcome_worst_first" in plan or "outcome_by_source" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


class TestCSV:
    def test_holds_every_row_as_the_page_has_it(self, viewer: Client, counted: None) -> None:
        response = viewer.get("/outcomes/csv/?days=7&failures=1")
        text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
        rows = list(csv.DictReader(io.StringIO(text)))
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert [(row["domain"], row["lookups"]) for row in rows] == [
            ("b.example", "23"),
            ("a.example", "7"),
            ("xn--mnchen-3ya.example", "2"),
        ]
        assert rows[-1]["domain_unicode"] == "münchen.example"

    def test_no_cell_is_a_formula(self) -> None:
        evil = FailureDetails('=HYPERLINK("http://evil.example")', "@x")
        outcomes.record([Seen(result("a.example", evil), NOW)])
        (row,) = csv.DictReader(io.StringIO("".join(outcome_listing.csv_rows(filters(), TODAY))))
        assert row["failures"].startswith("'=HYPERLINK")


class TestReport:
    def test_is_a_download_under_the_name_of_the_rfc(self, viewer: Client, counted: None) -> None:
        response = viewer.get(f"/outcomes/report/?day={TODAY}&domain=A.example.")
        assert response.headers["Content-Type"] == "application/tlsrpt+json"
        assert "!a.example!" in response.headers["Content-Disposition"]
        report = json.loads(b"".join(response.streaming_content))  # type: ignore[attr-defined]
        (failed,) = report["policies"][0]["failure-details"]
        assert failed["failed-session-count"] == 7

    @pytest.mark.parametrize("query", ["day=yesterday", "day=2026-02-30", "domain=a%20b"])
    def test_says_what_is_wrong_with_the_question(self, viewer: Client, query: str) -> None:
        assert viewer.get(f"/outcomes/report/?{query}").status_code == 400


def test_says_so_where_nothing_is_recorded(
    viewer: Client, change_environment: Callable[..., None]
) -> None:
    change_environment(outcome_days=0)
    assert "OUTCOME_DAYS is 0" in viewer.get("/outcomes/").content.decode()
