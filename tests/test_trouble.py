"""Trouble ahead: what counts as trouble, what does not, and what comes first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import outcomes, trouble
from policies.models import MXCheck, PolicyException, PolicyRecord
from policies.mtasts.mxfit import MailHost
from policies.outcomes import Seen, Source
from policies.tlsrpt.result import PolicyType, Result, ResultPolicy
from policies.trouble import Kind, Level, Trouble
from tests.pages import making, plans
from tests.worlds import ENFORCE, NOON, TESTING

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
DOMAIN = "example.org"


def policy(domain: str = DOMAIN, text: str = ENFORCE, **columns: Any) -> PolicyRecord:
    """A policy that a mail server asked for now and that holds for a week."""
    return making.record(
        domain, text, **({"last_use": NOON, "valid_end": NOON + 7 * DAY} | columns)
    )


def failing(domain: str = DOMAIN, **columns: Any) -> PolicyRecord:
    fields = {
        "failures": 5,
        "failure_type": "sts-policy-fetch-error",
        "failure_reason": "cannot-fetch-policy+http-status-503",
    }
    return policy(domain, **(fields | columns))


def certified(
    domain: str = DOMAIN, *, begun: timedelta = 80 * DAY, left: timedelta, **columns: Any
) -> PolicyRecord:
    """A policy whose host has a certificate that was begun so long ago and has so much left."""
    certificate = {"issuer": "A Test CA", "names": [], "begin": (NOON - begun).isoformat()}
    return policy(domain, certificate=certificate, certificate_end=NOON + left, **columns)


def misfitting(
    domain: str = DOMAIN, *, text: str = ENFORCE, at: datetime = NOON, **columns: Any
) -> PolicyRecord:
    """A policy whose domain's mail goes elsewhere."""
    row = policy(domain, text, **columns)
    check = MXCheck(domain=domain, due=NOON)
    check.found("mx", [MailHost(10, "in.elsewhere.example")], row.mx, at)
    check.save()
    return row


def asked(domain: str, count: int, *, ago: timedelta = DAY, by: Source = Source.LOOKUP) -> None:
    result = Result(ResultPolicy(PolicyType.STS, domain))
    outcomes.record([Seen(result, NOON - ago, count, domain=domain, source=by)])


def only() -> Trouble:
    (entry,) = trouble.found(NOON).entries
    return entry


def nothing() -> bool:
    return not trouble.found(NOON).entries


class TestPoliciesThatExpire:
    def test_while_their_refresh_fails(self) -> None:
        failing()
        entry = only()
        assert (entry.kind, entry.level, entry.at) == (Kind.EXPIRES, Level.WARN, NOON + 7 * DAY)
        assert "mail goes out unprotected: 5 refreshes in a row have failed" in entry.says
        assert entry.code == "sts-policy-fetch-error: cannot-fetch-policy+http-status-503"
        assert entry.who
        assert entry.todo

    def test_soon_is_worse(self) -> None:
        failing(valid_end=NOON + 2 * DAY)
        assert only().level is Level.BAD

    def test_the_latest_outcome_says_why_where_no_fetch_was_held_off(self) -> None:
        failing(
            failure_type="", failure_reason="", outcome_type="sts",
            outcome_failure="sts-policy-fetch-error",
            outcome_reason="no-mta-sts-dns-txt-record+fallback-to-cached-policy",
        )  # fmt: skip
        assert "no-mta-sts-dns-txt-record" in only().code

    @pytest.mark.parametrize(
        "columns",
        [
            {"failures": 2},
            {"failures": 0},
            {"valid_end": NOON},
            {"last_use": NOON - 31 * DAY},
            {"last_use": None},
            {"mode": "none"},
            {"backoff": True},
        ],
        ids=str,
    )
    def test_are_none_that(self, columns: dict[str, Any]) -> None:
        failing(**columns)
        assert nothing()


class TestCertificates:
    @pytest.mark.parametrize(
        ("left", "level"), [(13 * DAY, Level.WARN), (2 * DAY, Level.BAD), (-DAY, Level.BAD)]
    )
    def test_about_to_end(self, left: timedelta, level: Level) -> None:
        certified(left=left)
        entry = only()
        assert (entry.kind, entry.level, entry.at) == (Kind.CERTIFICATE, level, NOON + left)
        assert "A Test CA" in entry.says
        assert f"mta-sts.{DOMAIN}" in entry.todo

    @pytest.mark.parametrize(
        ("begun", "left", "is_trouble"),
        [
            (76 * DAY, 14 * DAY, True),
            (76 * DAY, 14 * DAY + timedelta(seconds=1), False),
            (3 * DAY, 4 * DAY, False),  # one made for a week, and young
            (5 * DAY, 2 * DAY, True),
        ],
    )
    def test_count_by_what_is_left_of_their_life(
        self, begun: timedelta, left: timedelta, is_trouble: bool
    ) -> None:
        certified(begun=begun, left=left)
        assert nothing() is not is_trouble

    def test_of_policies_that_nobody_asks_for_are_none(self) -> None:
        certified(left=DAY, last_use=NOON - 31 * DAY)
        assert nothing()


class TestMailHosts:
    def test_that_do_not_fit_an_enforced_policy(self) -> None:
        misfitting()
        entry = only()
        assert (entry.kind, entry.level, entry.at) == (Kind.MX, Level.BAD, None)
        assert "All mail is deferred" in entry.says
        assert "in.elsewhere.example" in entry.says
        assert "Add in.elsewhere.example to the policy" in entry.todo

    def test_that_would_not_fit_a_tested_one(self) -> None:
        misfitting(text=TESTING)
        assert (only().kind, only().level) == (Kind.TESTING, Level.WARN)

    def test_that_fit_the_policy_by_now_are_none(self) -> None:
        row = misfitting()
        PolicyRecord.objects.filter(pk=row.pk).update(mx=["*.elsewhere.example"])
        assert nothing()

    def test_that_dns_has_not_named_for_days_are_none(self) -> None:
        misfitting(at=NOON - 4 * DAY)
        assert nothing()

    @pytest.mark.parametrize(
        "columns", [{"valid_end": NOON}, {"backoff": True}, {"last_use": NOON - 31 * DAY}]
    )
    def test_without_a_policy_in_force_are_none(self, columns: dict[str, Any]) -> None:
        misfitting(**columns)
        assert nothing()


class TestMailHostsUnderAnException:
    def excepted(self, action: str, until: datetime | None, target: str = DOMAIN) -> Trouble | None:
        """What is left of a misfit, besides that the exception ends."""
        scope = "suffix" if target.startswith(".") else "domain"
        fields = {"policy_text": ENFORCE} if action == "pin" else {}
        PolicyException.objects.create(
            scope=scope, target=target, action=action, reason="ticket 7", owner="ann",
            since=NOON - DAY, until=until, **fields,
        )  # fmt: skip
        found = [each for each in trouble.found(NOON).entries if each.kind is not Kind.EXCEPTION]
        return found[0] if found else None

    @pytest.mark.parametrize("action", ["skip", "pin"])
    def test_that_holds_them_off_defer_mail_from_its_end_on(self, action: str) -> None:
        misfitting()
        entry = self.excepted(action, NOON + 5 * DAY)
        assert entry is not None
        assert (entry.kind, entry.level, entry.at) == (Kind.MX, Level.WARN, NOON + 5 * DAY)
        assert "ticket 7" in entry.says
        assert "in.elsewhere.example" in entry.says

    def test_without_end_that_holds_them_off_are_none(self) -> None:
        misfitting()
        assert self.excepted("skip", None) is None

    def test_of_the_names_below_count_alike(self) -> None:
        misfitting("mail.example.org")
        entry = self.excepted("skip", NOON + 5 * DAY, ".example.org")
        assert entry is not None
        assert entry.level == Level.WARN

    def test_that_enforces_a_tested_policy_defer_mail_now(self) -> None:
        misfitting(text=TESTING)
        entry = self.excepted("enforce", NOON + 5 * DAY)
        assert entry is not None
        assert (entry.kind, entry.level, entry.at) == (Kind.MX, Level.BAD, None)

    def test_that_is_over_changes_nothing(self) -> None:
        misfitting()
        entry = self.excepted("skip", NOON - timedelta(seconds=1))
        assert entry is not None
        assert (entry.level, entry.at) == (Level.BAD, None)


class TestExceptions:
    def exception(self, **columns: Any) -> PolicyException:
        fields = {
            "scope": "domain", "target": DOMAIN, "action": "skip", "reason": "broken certificate",
            "owner": "somebody", "since": NOON - DAY, "until": NOON + 2 * DAY,
        }  # fmt: skip
        return PolicyException.objects.create(**(fields | columns))

    def test_about_to_end(self) -> None:
        self.exception()
        asked(DOMAIN, 4)
        entry = only()
        assert (entry.kind, entry.domain, entry.at) == (Kind.EXCEPTION, DOMAIN, NOON + 2 * DAY)
        assert "skip the policy" in entry.says
        assert "broken certificate" in entry.todo
        assert entry.lookups == 4

    def test_about_many_domains_rank_by_their_own_use(self) -> None:
        self.exception(scope="everything", target="", uses=12)
        assert (only().domain, only().lookups) == ("everything", 12)

    @pytest.mark.parametrize("until", [None, NOON + 4 * DAY])
    def test_that_go_on_are_none(self, until: datetime | None) -> None:
        self.exception(until=until)
        assert nothing()


class TestOrder:
    def test_what_hits_most_of_our_mail_comes_first(self) -> None:
        failing("few.example")
        misfitting("most.example")
        certified("some.example", left=DAY)
        asked("few.example", 3)
        asked("most.example", 700)
        asked("most.example", 30, ago=2 * DAY)
        asked("some.example", 50)
        found = trouble.found(NOON).entries
        assert [(each.domain, each.lookups) for each in found] == [
            ("most.example", 730),
            ("some.example", 50),
            ("few.example", 3),
        ]

    def test_old_lookups_and_our_own_do_not_count(self) -> None:
        failing()
        asked(DOMAIN, 5, ago=10 * DAY)
        asked(DOMAIN, 7, by=Source.REFRESH)
        assert only().lookups == 0

    def test_the_last_used_comes_first_where_nothing_was_counted(self) -> None:
        failing("b.example", last_use=NOON - DAY)
        failing("a.example", last_use=NOON - 2 * DAY)
        assert [each.domain for each in trouble.found(NOON).entries] == ["b.example", "a.example"]

    def test_a_domain_may_have_several(self) -> None:
        misfitting(
            failures=5, certificate_end=NOON + DAY, failure_type="sts-webpki-invalid",
        )  # fmt: skip
        assert {each.kind for each in trouble.found(NOON).entries} == {
            Kind.EXPIRES, Kind.CERTIFICATE, Kind.MX,
        }  # fmt: skip

    def test_more_than_are_ranked_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trouble, "LIMIT", 3)
        for number in range(5):
            failing(f"d{number}.example")
            misfitting(f"m{number}.example")
        certified("c.example", left=DAY)
        found = trouble.found(NOON)
        assert found.capped == {Kind.EXPIRES, Kind.MX}
        assert [found.count(kind) for kind in Kind] == [3, 1, 3, 0, 0]


def test_costs_what_there_is_of_trouble_and_not_of_policies() -> None:
    failing("a.example")
    certified("b.example", left=DAY)
    misfitting("c.example")
    with CaptureQueriesContext(connection) as captured:
        trouble.found(NOON)
    asked = [each["sql"] for each in captured]
    assert len(asked) == 8
    used = []
    for sql in asked:
        plan = plans.explain(sql)
        assert not plan.reads_a_whole_table, plan
        used.append(" ".join(plan.steps))
    if connection.vendor == "sqlite":  # PostgreSQL's plans depend on what is in the tables
        indexes = (
            "policy_failing", "policy_by_certificate", "mxcheck_foretold", "probe_failing",
            "domain=?", "exception_by_end", "policies_policyexception", "domain=?",
        )  # fmt: skip
        for index, steps in zip(indexes, used, strict=True):
            assert index in steps, (index, steps)
