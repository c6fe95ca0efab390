"""What a policy's page says of its last 90 days, and the list's filter by outcome."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from policies import cache, listing, outcomes
from policies.models import PolicyRecord, PolicyVersion
from policies.mtasts import parse_domain
from policies.outcomes import Seen, Source
from policies.outcomes.days import Numbers
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy
from tests.pages import making
from tests.pages.conftest import As, as_
from tests.worlds import ENFORCE, NOON, policy

__all__ = ["as_"]

pytestmark = pytest.mark.django_db

DOMAIN = "münchen.example"
CERTIFICATE = FailureDetails("sts-webpki-invalid", "certificate-expired")
FALLBACK = FailureDetails("sts-policy-fetch-error", "dns-lookup+timeout+fallback-to-cached-policy")


def result(*failures: FailureDetails, domain: str = "xn--mnchen-3ya.example") -> Result:
    return Result(ResultPolicy(PolicyType.STS, domain), failures)


@pytest.fixture
def counted() -> outcomes.History:
    outcomes.record(
        [
            Seen(result(), NOON, 10),
            Seen(result(CERTIFICATE), NOON - timedelta(days=1), 4),
            Seen(result(FALLBACK), NOON, 3),
            Seen(result(), NOON, 2, source=Source.REFRESH),
            Seen(result(CERTIFICATE), NOON - timedelta(days=89), 1),
            Seen(result(CERTIFICATE), NOON - timedelta(days=90), 100),
            Seen(result(CERTIFICATE, domain="other.example"), NOON, 50),
        ]
    )
    return outcomes.history(DOMAIN, NOON)


class TestHistory:
    def test_has_ninety_days_the_last_of_them_today(self, counted: outcomes.History) -> None:
        assert len(counted.days) == 90
        assert counted.days[-1].day == NOON.date()
        assert counted.days[-1].numbers == Numbers(12, 3, 0, asked=13)
        assert counted.days[-2].numbers == Numbers(0, 0, 4, asked=4)
        assert counted.days[0].numbers.failure == 1
        assert counted.total == Numbers(12, 3, 5, asked=18)

    def test_tells_the_causes_the_latest_first(self, counted: outcomes.History) -> None:
        dns, certificate = counted.causes
        assert (dns.count, certificate.count) == (3, 5)
        assert dns.outcome.words == "DNS fails: no answer in time, using cached policy"
        assert certificate.outcome.code == "sts-webpki-invalid: certificate-expired"
        assert certificate.first_seen == NOON - timedelta(days=89)

    def test_is_drawn_and_written(self, counted: outcomes.History) -> None:
        page = render_to_string(
            "outcomes/history.html", {"history": counted, "name": parse_domain(DOMAIN)}
        )
        assert page.count('class="fill ') == 4  # today's bar has two parts
        assert "domain=xn--mnchen-3ya.example" in page
        assert "RFC 8461 section 3.3" in page
        assert "Tell the domain&#x27;s postmaster" in page
        assert "style=" not in page

    def test_of_nothing_says_why_there_is_nothing(self) -> None:
        page = render_to_string(
            "outcomes/history.html",
            {"history": outcomes.history("b.example", NOON), "name": parse_domain("b.example")},
        )
        assert "No lookup of this domain was counted" in page


class TestThePageOfAPolicyThatExpired:
    def test_shows_it_on_the_days_when_it_was_in_force_and_on_none_after(self, as_: As) -> None:
        now, day = timezone.now(), timedelta(days=1)
        making.record("a.example", ENFORCE, valid_end=now - 3 * day, last_update=now - 5 * day)
        PolicyVersion.objects.create(
            domain="a.example", record_id="77", policy_text=ENFORCE, digest="a" * 64,
            mode="enforce", first_seen=now - 5 * day, found_by="lookup",
        )  # fmt: skip
        seen = result(domain="a.example")
        outcomes.record([Seen(seen, now - ago * day, 1, domain="a.example") for ago in (1, 4)])
        html = as_("viewer").get("/policies/a.example/").content.decode()
        then = {
            cells[0]: "77" in cells[1]
            for cells in re.findall(
                r'<tr>\s*<th scope="row">([0-9-]+)</th>(.*?)</tr>', html, re.DOTALL
            )
        }
        assert then == {f"{now - 1 * day:%Y-%m-%d}": False, f"{now - 4 * day:%Y-%m-%d}": True}
        history = html.partition('id="versions"')[2].partition("</section>")[0]
        assert "in force until" in history
        assert "current" not in history


class TestListFilter:
    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        for name in ("good", "bad", "fresh"):
            cache.upsert(f"{name}.example", "1", policy(), ENFORCE)
        cache.note_uses(
            [
                cache.Use("good.example", NOON, result(domain="good.example")),
                cache.Use("bad.example", NOON, result(CERTIFICATE, domain="bad.example")),
            ]
        )

    @pytest.mark.parametrize(
        ("outcome", "names"),
        [
            ("sts", {"good.example"}),
            ("sts-webpki-invalid", {"bad.example"}),
            ("sts-policy-invalid", set()),
            ("none", {"fresh.example"}),
            ("nonsense", {"good.example", "bad.example", "fresh.example"}),
        ],
    )
    def test_by_outcome(self, outcome: str, names: set[str]) -> None:
        filters = listing.Filters.read({"outcome": outcome})
        found = filters.apply(PolicyRecord.objects.all(), NOON)
        assert set(found.values_list("domain", flat=True)) == names

    def test_stays_in_the_address(self) -> None:
        filters = listing.Filters.read({"outcome": "sts"})
        assert filters.any
        assert filters.query(mode="enforce") == "?mode=enforce&outcome=sts"
