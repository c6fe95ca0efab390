"""Outcomes: what is counted, where, and that no count is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Sum

from policies import cache, outcomes, refresh
from policies.models import (
    Outcome,
    OutcomeFailure,
    OutcomePolicy,
    OutcomeTotal,
    PolicyRecord,
)
from policies.mtasts import parse_domain
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    FetchError,
    NoRecordError,
)
from policies.outcomes import Seen, bounds
from policies.tlsrpt.report import SessionFailure
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy
from tests.worlds import ENFORCE, NONE, NOON, TESTING, Script, policy, record

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"
MIDNIGHT = NOON + timedelta(hours=12)
EXPIRED = CertificateError("expired", reason="certificate-expired")


def result(
    domain: str = DOMAIN, *failures: FailureDetails, lines: tuple[str, ...] = ("version: STSv1",)
) -> Result:
    return Result(ResultPolicy(PolicyType.STS, domain, lines, ("mx.example.org",)), failures)


def failure(reason: str = "certificate-expired") -> FailureDetails:
    return FailureDetails("sts-webpki-invalid", reason)


def counts() -> list[tuple[str, str, str, int, int, int]]:
    """Day, domain or kind, source, lookups, failed, fallbacks."""
    rows = Outcome.objects.order_by("day", "domain", "kind", "source", "id")
    return [
        (f"{row.day:%d}", row.domain or row.kind, row.source, row.count, row.failed, row.fallbacks)
        for row in rows
    ]


class TestWhatIsCounted:
    def test_lookups_of_a_policy_in_force_become_one_row(self, script: Script) -> None:
        script.publish()
        for _ in range(3):
            cache.get(DOMAIN)
            script.pass_(minutes=1)
        assert counts() == [("01", DOMAIN, "lookup", 3, 0, 0)]
        (row,) = Outcome.objects.select_related("policy")
        assert (row.first_seen, row.last_seen) == (NOON, NOON + timedelta(minutes=2))
        assert row.policy.lines == ENFORCE.splitlines()
        assert (row.policy.type, row.policy.mx) == ("sts", ["mx.example.org"])

    def test_another_policy_is_another_row(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.publish(TESTING, "2")
        cache.get(DOMAIN)
        assert counts() == [(("01"), DOMAIN, "lookup", 1, 0, 0)] * 2

    def test_each_part_of_us_counts_apart(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        cache.refetch(DOMAIN)
        cache.refetch(DOMAIN)
        script.pass_(hours=14)
        refresh.run()
        assert counts() == [
            ("01", DOMAIN, "lookup", 1, 0, 0),
            ("01", DOMAIN, "operator", 2, 0, 0),
            ("02", DOMAIN, "refresh", 1, 0, 0),
        ]

    def test_a_failure_its_back_off_and_a_fallback(self, script: Script) -> None:
        script.look, script.fetch = record(), EXPIRED
        cache.get(DOMAIN)
        cache.get(DOMAIN)
        script.pass_(minutes=6)
        script.publish()
        cache.get(DOMAIN)
        script.look = NoRecordError("gone")
        cache.get(DOMAIN)
        assert sum(row[3] for row in counts()) == 4
        assert sum(row[4] for row in counts()) == 3
        assert sum(row[5] for row in counts()) == 1
        assert set(OutcomeFailure.objects.values_list("reason", "count", "fallback")) == {
            ("certificate-expired", 1, False),
            ("back-off-after-recent-fetch-error+certificate-expired", 1, False),
            ("no-mta-sts-dns-txt-record+fallback-to-cached-policy", 1, True),
        }

    def test_domains_without_mta_sts_share_a_row(self, script: Script) -> None:
        for number in range(5):
            cache.get(f"d{number}.example")
        script.publish(NONE)
        cache.get(DOMAIN)
        assert counts() == [("01", "none", "lookup", 6, 0, 0)]

    def test_our_resolver_is_counted_apart(self, script: Script) -> None:
        script.look = DNSError("no answer", reason="timeout")
        for domain in ("a.example", "b.example"):
            with pytest.raises(cache.TransientError):
                cache.get(domain)
        cache.refetch("c.example")
        assert counts() == [
            ("01", "resolver", "lookup", 2, 0, 0),
            ("01", "resolver", "operator", 1, 0, 0),
        ]
        reasons = OutcomeFailure.objects.values_list("reason", "count")
        assert set(reasons) == {("dns-lookup+timeout", 2), ("dns-lookup+timeout", 1)}

    def test_dns_that_fails_beside_a_cached_policy_is_a_fallback_of_the_domain(
        self, script: Script
    ) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.look = DNSError("no answer", reason="timeout")
        cache.get(DOMAIN)
        assert counts() == [("01", DOMAIN, "lookup", 2, 1, 1)]

    def test_uses_counted_in_memory_arrive_with_their_numbers(self, script: Script) -> None:
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        fails = result(DOMAIN, failure("certificate-expired+fallback-to-cached-policy"))
        first, last = NOON + timedelta(seconds=1), NOON + timedelta(seconds=2)
        cache.note_uses(
            [
                cache.Use(DOMAIN, last, result(), count=1000, first=first),
                cache.Use(DOMAIN, NOON, fails, count=7),
            ],
            [Seen(Result(ResultPolicy(PolicyType.NO_POLICY_FOUND, "b.example")), NOON, 30)],
        )
        assert counts() == [
            ("01", "none", "lookup", 30, 0, 0),
            ("01", DOMAIN, "lookup", 1007, 7, 7),
        ]
        row = PolicyRecord.objects.get(domain=DOMAIN)
        assert (row.last_use, row.outcome_failure) == (last, "")

    def test_nothing_is_recorded_where_outcomes_are_switched_off(
        self, script: Script, change_environment: Callable[..., None]
    ) -> None:
        change_environment(outcome_days=0)
        script.publish()
        cache.get(DOMAIN)
        assert not Outcome.objects.exists()
        assert PolicyRecord.objects.get(domain=DOMAIN).outcome_type == "sts"


class TestReports:
    """What enters a report of what is counted."""

    def report(self, domain: str = DOMAIN) -> dict[str, Any]:
        chunks = outcomes.report(NOON.date(), parse_domain(domain))
        return json.loads("".join(chunks))  # type: ignore[no-any-return]

    def test_the_text_of_an_edited_row_does_not(self, script: Script) -> None:
        script.publish()
        cache.get(DOMAIN)
        row = PolicyRecord.objects.get()
        row.policy_text = ENFORCE.replace("mx.example.org", "edited.example.org")
        cache.edit(row, policy(row.policy_text), text_edited=True)
        cache.get(DOMAIN)
        script.look = NoRecordError("gone")
        cache.get(DOMAIN)
        texts = [one["policy"]["policy-string"] for one in self.report()["policies"]]
        assert texts == [[], ENFORCE.splitlines()]
        assert "edited" not in json.dumps(self.report())

    def test_operators_and_refreshes_do_not(self, script: Script) -> None:
        script.publish()
        cache.refetch(DOMAIN)
        cache.upsert(DOMAIN, "1", policy(), ENFORCE)
        PolicyRecord.objects.update(refresh_due=NOON)
        refresh.run()
        assert Outcome.objects.count() == 2
        assert self.report()["policies"] == []

    def test_what_stands_for_other_domains_does_not(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "PAIRS_PER_HOUR", 0)
        outcomes.record([Seen(result(DOMAIN, failure()), NOON)])
        assert counts() == [("01", "other", "lookup", 1, 1, 0)]
        assert json.loads("".join(outcomes.report(NOON.date())))["policies"] == []

    def test_names_are_a_labels(self, script: Script) -> None:
        script.publish()
        cache.get("münchen.example")
        (one,) = self.report("XN--MNCHEN-3YA.example")["policies"]
        assert one["policy"]["policy-domain"] == "xn--mnchen-3ya.example"

    def test_a_result_type_that_nobody_knows_enters_as_it_is(self) -> None:
        odd = FailureDetails("a-new\x00type\udcff", "x" * 1000)
        outcomes.record([Seen(result(DOMAIN, odd), NOON)])
        (details,) = self.report()["policies"][0]["failure-details"]
        assert details["result-type"] == "a-new\\x00type\\xff"
        assert len(details["failure-reason-code"]) == 255


class TestTime:
    def test_each_result_counts_for_its_own_day(self) -> None:
        outcomes.record(
            Seen(result(), MIDNIGHT + timedelta(seconds=second)) for second in (-2, -1, 0, 1, 2)
        )
        assert counts() == [
            ("01", DOMAIN, "lookup", 2, 0, 0),
            ("02", DOMAIN, "lookup", 3, 0, 0),
        ]

    def test_a_clock_that_jumps_back_widens_the_row_and_loses_nothing(self) -> None:
        for minutes in (0, 5, -60):
            outcomes.record([Seen(result(), NOON + timedelta(minutes=minutes))])
        row = Outcome.objects.get()
        assert row.count == 3
        assert row.first_seen == NOON - timedelta(hours=1)
        assert row.last_seen == NOON + timedelta(minutes=5)

    def test_old_days_go_with_all_that_hangs_on_them(
        self, change_environment: Callable[..., None]
    ) -> None:
        change_environment(outcome_days=3)
        for day in range(6):
            seen = result(DOMAIN, failure(), lines=(f"version: {day}",))
            outcomes.record([Seen(seen, NOON + timedelta(days=day))])
        outcomes.prune(NOON + timedelta(days=5))
        kept = [NOON.date() + timedelta(days=day) for day in (2, 3, 4, 5)]
        for model in (Outcome, OutcomeFailure, OutcomeTotal):
            assert sorted(set(model.objects.values_list("day", flat=True))) == kept
        assert OutcomePolicy.objects.count() == 4


class TestBounds:
    def test_new_domains_beyond_the_hour_s_share_are_counted_together(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "PAIRS_PER_HOUR", 10)
        outcomes.record(Seen(result(f"d{number}.example"), NOON) for number in range(8))
        outcomes.record(Seen(result(f"e{number}.example", failure()), NOON) for number in range(8))
        outcomes.record([Seen(result("d3.example"), NOON)])
        assert Outcome.objects.filter(kind="domain").count() == 10
        other = Outcome.objects.get(kind="other")
        assert (other.count, other.failed, other.domain) == (6, 6, "")
        assert other.policy.lines == []
        assert Outcome.objects.get(domain="d3.example").count == 2
        assert Outcome.objects.aggregate(sum=Sum("count")) == {"sum": 17}
        outcomes.record([Seen(result("f.example"), NOON + timedelta(hours=1))])
        assert Outcome.objects.filter(domain="f.example").exists()

    def test_a_domain_that_changes_its_policy_all_the_time_gets_no_rows_without_end(self) -> None:
        for number in range(bounds.POLICIES_PER_PAIR + 10):
            outcomes.record([Seen(result(lines=(f"version: {number}",)), NOON)])
        assert Outcome.objects.count() == bounds.POLICIES_PER_PAIR + 1
        assert Outcome.objects.get(policy__lines=[]).count == 10


class TestBadInput:
    def test_what_nobody_can_print_is_stored_escaped_and_cut(self) -> None:
        odd = SessionFailure(
            "a-type\x00of\u202etomorrow" + "x" * 100,
            "\udcff\ud800" + "é" * 300,
            additional_information="\n" * 2000,
            receiving_mx_helo="<script>",
        )
        lines = ("ok: \x85\ufffe \u200d", "key: " + "v" * 3000)
        outcomes.record([Seen(result(DOMAIN, odd, lines=lines), NOON)])
        stored = OutcomeFailure.objects.get()
        assert stored.result_type.startswith("a-type\\x00of\\u202etomorrow")
        assert len(stored.result_type) == 64
        assert stored.reason.startswith("\\xff\\ud800é")
        assert len(stored.reason) == 255
        assert len(stored.additional) == 1000
        assert stored.receiving_helo == "<script>"
        assert OutcomePolicy.objects.get().lines == ["ok: \\x85\\ufffe \u200d", lines[1]]

    def test_an_over_long_reason_still_tells_of_its_fallback(self) -> None:
        long = "x" * 300 + "+fallback-to-cached-policy"
        outcomes.record([Seen(result(DOMAIN, failure(long)), NOON)])
        assert counts() == [("01", DOMAIN, "lookup", 1, 1, 1)]
        assert OutcomeFailure.objects.get().fallback

    def test_what_is_no_domain_name_is_counted_with_the_others(self) -> None:
        outcomes.record([Seen(result("not a name"), NOON)])
        assert counts() == [("01", "other", "lookup", 1, 0, 0)]


def test_failure_details_add_up_only_where_all_is_equal() -> None:
    def at(mx: str) -> SessionFailure:
        return SessionFailure("validation-failure", "x", receiving_mx_hostname=mx)

    for mx, count in (("a.example", 2), ("b.example", 3), ("a.example", 5)):
        outcomes.record([Seen(result(DOMAIN, at(mx)), NOON, count)])
    details = OutcomeFailure.objects.order_by("receiving_mx")
    assert list(details.values_list("receiving_mx", "count")) == [
        ("a.example", 7),
        ("b.example", 3),
    ]


def test_the_totals_are_the_sums_of_the_rows(script: Script) -> None:
    mixed = [
        Seen(result("a.example"), NOON, 5),
        Seen(result("a.example", failure()), NOON, 3),
        Seen(result("b.example", failure("x+fallback-to-cached-policy")), NOON, 2),
        Seen(result("b.example", FailureDetails("sts-policy-invalid", "y")), NOON, 4),
    ]
    outcomes.record(mixed)
    outcomes.record(mixed)
    totals = OutcomeTotal.objects.order_by("result_type")
    assert list(totals.values_list("result_type", "count", "failed", "fallbacks")) == [
        ("", 28, 18, 4),
        ("sts-policy-invalid", 8, 8, 0),
        ("sts-webpki-invalid", 10, 10, 4),
    ]


def test_the_summary_counts_policies_by_their_latest_outcome(script: Script) -> None:
    script.publish()
    cache.get("a.example")
    cache.get("b.example")
    script.fetch = FetchError("status 500", reason="http-status-500")
    cache.get("c.example")
    expected = {("sts", ""): 2, ("sts", "sts-policy-fetch-error"): 1}
    assert outcomes.latest_counts() == expected
    outcomes.summarize()
    cache.delete(["a.example"])
    assert outcomes.latest_counts() == expected
    outcomes.summarize()
    assert outcomes.latest_counts()["sts", ""] == 1
