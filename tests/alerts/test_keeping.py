"""Alerts over weeks: opened at first sight, confirmed, closed; each change raises one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import alerts, cache, ledger, refresh
from policies.alerts import keeping
from policies.alerts.kinds import Kind
from policies.models import Alert, PolicyRecord
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    FetchError,
    MTASTSError,
    MultipleRecordsError,
    NoPolicyError,
    NoRecordError,
    PolicySyntaxError,
)
from tests.pages import making
from tests.worlds import CERTIFICATE, ENFORCE, NONE, NOON, TESTING, Script, record, served

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"
DAY = timedelta(days=1)
WEEKS = ENFORCE.replace("86400", "1209600")
WIDER = WEEKS.replace("mx.example.org", "mx.example.net")
SHORT = WEEKS.replace("1209600", "7200")

GONE = NoRecordError("no TXT record begins 'v=STSv1;'")
SEVERAL = MultipleRecordsError("2 TXT records begin 'v=STSv1;'; expected exactly one")
ABSENT = NoPolicyError("the policy host answers 404")
EXPIRED = CertificateError("certificate has expired", reason="certificate-expired")
BROKEN = PolicySyntaxError("expected a mode", line=2, received="version: STSv1\nmood: good\n")
DOWN = FetchError("status 500", reason="http-status-500")


def opened(**wanted: Any) -> list[tuple[str, str]]:
    """Kind and state of the open alerts."""
    return sorted(Alert.objects.filter(closed_at=None, **wanted).values_list("kind", "state"))


def all_kinds() -> list[str]:
    return sorted(Alert.objects.values_list("kind", flat=True))


def row() -> PolicyRecord:
    return PolicyRecord.objects.get(domain=DOMAIN)


@pytest.fixture
def held(script: Script) -> Script:
    """The world in which an enforce policy of two weeks was fetched for a mail server."""
    script.publish(WEEKS)
    cache.get(DOMAIN)
    return script


def live(script: Script, days: float, every: float = 8, domain: str = DOMAIN) -> None:
    """Time goes by: a mail server asks every so many hours, and the refresh does its rounds."""
    for _ in range(int(days * 24 / every)):
        script.pass_(hours=every)
        cache.get(domain)
        refresh.run()


WARNINGS: list[tuple[Kind, MTASTSError | None, MTASTSError | None]] = [
    (Kind.RECORD_GONE, GONE, None),
    (Kind.RECORD_BROKEN, SEVERAL, None),
    (Kind.HOST_GONE, None, ABSENT),
    (Kind.CERTIFICATE_REFUSED, None, EXPIRED),
    (Kind.POLICY_INVALID, None, BROKEN),
    (Kind.REFRESH_FAILING, None, DOWN),
]


@pytest.mark.parametrize(("kind", "look", "fetch"), WARNINGS)
def test_each_warning_raises_one_alert_that_is_confirmed_and_ends_when_all_is_well(
    held: Script, kind: Kind, look: MTASTSError | None, fetch: MTASTSError | None
) -> None:
    live(held, days=2)
    assert not all_kinds()
    held.look = look or held.look
    held.fetch = fetch or held.fetch
    live(held, days=9)
    assert opened() == [(kind, "confirmed")]
    alert = Alert.objects.get()
    assert (alert.domain, alert.severity) == (DOMAIN, "warning")
    assert alert.sightings >= 3
    assert alert.confirmed_at is not None
    assert alert.confirmed_at - alert.opened_at >= DAY
    assert row().mode == "enforce"
    assert row().open_alerts == kind.bit
    held.publish(WEEKS)
    live(held, days=2)
    alert.refresh_from_db()
    assert (alert.closed_because, opened()) == ("well", [])
    assert row().open_alerts is None
    assert len(all_kinds()) == 1


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.ENFORCE_TO_TESTING, TESTING),
        (Kind.MAX_AGE_CUT, SHORT),
        (Kind.MX_WIDENED, WIDER),
    ],
)
def test_each_notice_raises_one_alert_at_once(held: Script, kind: Kind, text: str) -> None:
    held.pass_(days=1)
    held.publish(text, "2")
    cache.get(DOMAIN)
    assert opened() == [(kind, "suspected")]
    alert = Alert.objects.get()
    assert (alert.severity, alert.before_text, alert.after_text) == ("notice", WEEKS, text)
    live(held, days=3)
    assert opened() == [(kind, "confirmed")]
    held.publish(WEEKS, "3")
    live(held, days=1)
    assert opened() == []
    assert all_kinds() == [kind]


def test_a_notice_shows_the_latest_step_and_ends_by_what_was_held_before_the_first(
    held: Script,
) -> None:
    held.pass_(days=1)
    held.publish(WIDER, "2")
    cache.get(DOMAIN)
    live(held, days=1)
    wider_still = WIDER.replace("max_age", "mx: mx.elsewhere.example\nmax_age")
    held.publish(wider_still, "3")
    cache.get(DOMAIN)
    alert = Alert.objects.get()
    assert (alert.before_text, alert.after_text) == (WEEKS, wider_still)
    assert alert.evidence["before"]["record_id"] == "1"
    assert alert.evidence["after"]["mx"][-1] == "mx.elsewhere.example"
    assert alert.evidence["dns"]["id"] == "3"
    held.publish(WIDER, "4")
    live(held, days=1)
    assert opened() == [(Kind.MX_WIDENED, "confirmed")]
    held.publish(WEEKS, "5")
    live(held, days=1)
    assert (opened(), all_kinds()) == ([], [Kind.MX_WIDENED])


def test_a_phase_out_done_right_raises_nothing(held: Script) -> None:
    live(held, days=3)
    held.publish(WEEKS.replace("1209600", "86400"), "2")  # lowered before …
    live(held, days=15)
    held.publish(NONE, "3")  # … mode none under a new id …
    live(held, days=15)
    held.look, held.fetch = GONE, ABSENT  # … and then all of it goes
    live(held, days=40)
    assert not Alert.objects.exists()
    assert not PolicyRecord.objects.exists()


def test_mode_none_at_once_is_the_domains_right(held: Script) -> None:
    held.publish(NONE, "2")
    live(held, days=3)
    held.look = GONE
    live(held, days=3)
    assert not Alert.objects.exists()


def test_mode_none_ends_what_was_open(held: Script) -> None:
    held.look = GONE
    live(held, days=2)
    held.publish(NONE, "2")
    live(held, days=1)
    assert Alert.objects.get().closed_because == "opted-out"


def by_lookup() -> None:
    cache.get(DOMAIN)


def by_refetch() -> None:
    cache.refetch(DOMAIN)


def by_refresh() -> None:
    PolicyRecord.objects.update(refresh_due=None)
    refresh.run()


@pytest.mark.parametrize(
    ("look", "source"), [(by_lookup, "lookup"), (by_refetch, "operator"), (by_refresh, "refresh")]
)
def test_whoever_sees_a_record_gone_opens_the_alert(
    held: Script, look: Callable[[], None], source: str
) -> None:
    held.look = GONE
    look()
    assert opened(found_by=source) == [(Kind.RECORD_GONE, "suspected")]
    assert row().policy_text == WEEKS


@pytest.mark.parametrize(
    ("look", "source"), [(by_lookup, "lookup"), (by_refetch, "operator"), (by_refresh, "refresh")]
)
def test_whoever_sees_a_bad_certificate_opens_the_alert(
    held: Script, look: Callable[[], None], source: str
) -> None:
    held.look, held.fetch = record("2"), EXPIRED
    look()
    assert opened(found_by=source) == [(Kind.CERTIFICATE_REFUSED, "suspected")]


def test_the_evidence_shows_before_after_dns_and_certificate(held: Script) -> None:
    held.pass_(days=1)
    refused = CertificateError("certificate has expired", reason="certificate-expired")
    refused.certificate = CERTIFICATE
    held.look, held.fetch = record("2"), refused
    cache.get(DOMAIN)
    alert = Alert.objects.get()
    assert alert.before_text == WEEKS
    assert alert.policy_end == NOON + 14 * DAY
    assert alert.evidence["before"]["record_id"] == "1"
    assert alert.evidence["before"]["mx"] == ["mx.example.org"]
    assert alert.evidence["dns"]["id"] == "2"
    assert alert.evidence["certificate"]["names"] == ["mta-sts.example.org"]
    assert alert.evidence["certificate"]["not_after"] == CERTIFICATE.not_after.isoformat()
    assert alert.evidence["failure"]["type"] == "sts-webpki-invalid"
    assert alert.evidence["failure"]["reason"] == "certificate-expired"


def test_the_evidence_shows_what_was_served_in_place_of_a_policy(held: Script) -> None:
    held.look, held.fetch = record("2"), BROKEN
    cache.get(DOMAIN)
    assert Alert.objects.get().after_text == BROKEN.received


def test_the_evidence_shows_the_records_that_are_there(held: Script) -> None:
    several = MultipleRecordsError("2 records", ttl=60)
    several.seen = ("v=STSv1; id=1;", "v=STSv1; id=\x00evil;")
    held.look = several
    cache.get(DOMAIN)
    assert Alert.objects.get().evidence["dns"]["txt"] == [
        "v=STSv1; id=1;",
        "v=STSv1; id=\ufffdevil;",
    ]


class TestConfirmation:
    def test_takes_three_sightings_over_a_day(self, held: Script) -> None:
        held.look = GONE
        for hours in (0, 12, 11):
            held.pass_(hours=hours)
            making.fetched_elsewhere(held.now())
            cache.get(DOMAIN)
        assert opened() == [(Kind.RECORD_GONE, "suspected")]
        held.pass_(hours=1)
        making.fetched_elsewhere(held.now())
        cache.get(DOMAIN)
        assert opened() == [(Kind.RECORD_GONE, "confirmed")]

    def test_two_sightings_a_day_apart_are_too_few(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        held.pass_(days=1)
        cache.get(DOMAIN)
        assert opened() == [(Kind.RECORD_GONE, "suspected")]

    def test_takes_a_dns_that_has_named_something_in_between(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        held.pass_(minutes=5)
        making.fetched_elsewhere(held.now())
        for _ in range(6):
            held.pass_(hours=12)
            cache.get(DOMAIN)
        assert Alert.objects.get().sightings == 2
        assert opened() == [(Kind.RECORD_GONE, "suspected")]

    def test_counts_what_a_host_says_itself(self, held: Script) -> None:
        absent = NoPolicyError("the policy host answers 404")
        absent.certificate = CERTIFICATE
        held.look, held.fetch = GONE, absent
        live(held, days=9)
        assert (Kind.HOST_GONE, "confirmed") in opened()

    def test_a_thousand_lookups_at_once_are_one_sighting(self, held: Script) -> None:
        held.look = GONE
        for _ in range(10):
            cache.get(DOMAIN)
        assert Alert.objects.get().sightings == 1


class TestOneAlertPerChange:
    def test_what_flaps_stays_one(self, held: Script) -> None:
        for _ in range(6):
            held.look = GONE
            held.pass_(hours=3)
            cache.get(DOMAIN)
            held.publish(WEEKS)
            held.pass_(hours=3)
            cache.get(DOMAIN)
            making.fetched_elsewhere(held.now() + timedelta(minutes=1))
        alert = Alert.objects.get()
        assert (alert.reopened, alert.sightings, alert.state) == (5, 6, "confirmed")
        assert not alert.is_open

    def test_what_was_confirmed_waits_for_dns_to_be_well_before_it_is_told_again(
        self, held: Script
    ) -> None:
        held.look = GONE
        live(held, days=5)
        assert opened() == [(Kind.RECORD_GONE, "confirmed")]
        held.publish(WEEKS)
        held.pass_(hours=1)
        cache.get(DOMAIN)
        held.look, held.fetch = GONE, ABSENT
        held.pass_(hours=1)
        cache.get(DOMAIN)
        assert not opened()
        making.fetched_elsewhere(held.now() + timedelta(minutes=1))
        held.pass_(minutes=10)
        cache.get(DOMAIN)
        assert opened() == [(Kind.RECORD_GONE, "confirmed")]

    def test_what_comes_back_days_later_is_another(self, held: Script) -> None:
        for _ in range(2):
            held.look = GONE
            cache.get(DOMAIN)
            held.publish(WEEKS)
            held.pass_(minutes=10)
            cache.get(DOMAIN)
            held.pass_(days=2)
        assert all_kinds() == [Kind.RECORD_GONE] * 2

    def test_another_process_that_sees_it_at_the_same_time_opens_none(
        self, held: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held.look = GONE
        PolicyRecord.objects.update(open_alerts=None)
        cache.get(DOMAIN)
        # As the other process sees it: nothing was open when it looked.
        stale = PolicyRecord.objects.get()
        stale.open_alerts = stale.alert_noted = None
        monkeypatch.setattr(ledger.Ledger, "read", lambda _books, _name: stale)
        monkeypatch.setattr(
            keeping.Alert.objects, "filter", _blind_once(keeping.Alert.objects.filter)
        )
        cache.get(DOMAIN)
        assert all_kinds() == [Kind.RECORD_GONE]

    def test_a_failing_refresh_is_not_told_beside_the_host_that_is_gone(self, held: Script) -> None:
        held.fetch = ABSENT
        live(held, days=8)
        assert all_kinds() == [Kind.HOST_GONE]


def _blind_once(real: Callable[..., Any]) -> Callable[..., Any]:
    calls = []

    def filter_(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        found = real(*args, **kwargs)
        return found.none() if len(calls) == 1 else found

    return filter_


class TestWhoseFault:
    def others(self, script: Script, number: int = 12) -> list[str]:
        names = [f"d{at}.example" for at in range(number)]
        for name in names:
            cache.get(name)
        return names

    def everything_is_due(self) -> None:
        PolicyRecord.objects.update(refresh_due=None)
        refresh.run()

    def test_dns_down_for_everybody_opens_nothing(self, held: Script) -> None:
        self.others(held)
        held.look = DNSError("timeout", reason="timeout")
        held.fetch = FetchError("no answer", reason="policy-host-dns-temporary")
        for _ in range(40):
            held.pass_(hours=12)
            with suppress(cache.TransientError):  # once the policy has ended
                cache.get(DOMAIN)
            refresh.run()
        assert not Alert.objects.exists()

    def test_nor_does_it_where_there_is_but_one_domain(self, held: Script) -> None:
        held.look = DNSError("timeout", reason="timeout")
        held.fetch = FetchError("no answer", reason="policy-host-dns-temporary")
        for _ in range(30):
            held.pass_(hours=12)
            refresh.run()
        assert not Alert.objects.exists()

    def test_dns_that_fails_for_one_domain_alone_is_that_domains(self, held: Script) -> None:
        since = held.now()
        held.look = DNSError("servfail", reason="servfail")
        held.fetch = FetchError("no answer", reason="policy-host-dns-temporary")
        for _ in range(22):
            held.pass_(hours=6)
            refresh.run()
            making.fetched_elsewhere(held.now())
        assert opened() == [(Kind.REFRESH_FAILING, "suspected")]
        assert Alert.objects.get().opened_at - since > 2 * DAY

    def test_certificates_refused_everywhere_are_our_own_roots(self, held: Script) -> None:
        self.others(held)
        held.look, held.fetch = record(), EXPIRED
        self.everything_is_due()
        assert not Alert.objects.exists()
        held.pass_(hours=1)
        assert row().alert_noted == held.now() - timedelta(hours=1)

    def test_names_that_exist_nowhere_are_our_resolvers(self, held: Script) -> None:
        self.others(held, 20)
        held.look, held.fetch = GONE, ABSENT
        held.pass_(hours=1)
        self.everything_is_due()
        assert not Alert.objects.exists()

    def test_records_gone_everywhere_are_told_a_few_times_only(self, held: Script) -> None:
        names = self.others(held, 20)
        held.pass_(hours=1)
        held.look = GONE
        for name in names:
            cache.get(name)
        assert Alert.objects.count() == 5
        for _ in range(40):
            held.pass_(minutes=16)
            for name in names:
                cache.get(name)
        assert Alert.objects.count() == 5
        assert {alert.sightings for alert in Alert.objects.all()} == {1}

    def test_nor_do_fetches_of_a_moment_ago_hide_that_all_is_denied_now(self, held: Script) -> None:
        names = self.others(held, 20)
        held.pass_(minutes=1)
        held.look, held.fetch = GONE, ABSENT
        for name in names:
            cache.get(name)
        self.everything_is_due()
        assert Alert.objects.count() == 5

    def test_a_few_that_fail_alike_are_told_each(self, held: Script) -> None:
        self.others(held, 4)
        held.look, held.fetch = record(), EXPIRED
        self.everything_is_due()
        assert all_kinds() == [Kind.CERTIFICATE_REFUSED] * 5


class TestEnds:
    def test_who_deletes_a_policy_ends_its_alerts(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        cache.delete([DOMAIN])
        assert Alert.objects.get().closed_because == "forgotten"

    def test_a_notice_settles(self, held: Script) -> None:
        held.publish(TESTING, "2")
        cache.get(DOMAIN)
        alerts.tidy(held.now() + 30 * DAY)
        assert opened()
        alerts.tidy(held.now() + 31 * DAY)
        assert Alert.objects.get().closed_because == "settled"

    def test_a_warning_ends_when_nobody_has_asked_for_a_month(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        alerts.tidy(held.now() + 30 * DAY)
        assert opened()
        alerts.tidy(held.now() + 31 * DAY)
        assert Alert.objects.get().closed_because == "ended"

    def test_an_acknowledged_warning_ends_with_the_policy(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        alerts.tidy(NOON + 15 * DAY)
        assert opened()
        Alert.objects.update(acknowledged_at=NOON)
        alerts.tidy(NOON + 15 * DAY)
        assert Alert.objects.get().closed_because == "ended"

    def test_old_ones_are_forgotten(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        cache.delete([DOMAIN])
        alerts.tidy(NOON + keeping.KEPT)
        assert Alert.objects.exists()
        alerts.tidy(NOON + keeping.KEPT + DAY)
        assert not Alert.objects.exists()

    def test_a_row_that_came_back_learns_of_its_alerts(self, held: Script) -> None:
        held.look = GONE
        cache.get(DOMAIN)
        PolicyRecord.objects.all().delete()
        held.publish(WEEKS)
        cache.get(DOMAIN)
        assert opened()
        alerts.tidy(held.now())
        cache.get(DOMAIN)
        assert Alert.objects.get().closed_because == "well"
        assert row().open_alerts is None


class TestCost:
    def queries(self, look: Callable[[], object]) -> int:
        with CaptureQueriesContext(connection) as captured:
            look()
        return sum("policies_alert" in each["sql"] for each in captured)

    def test_a_healthy_lookup_asks_for_no_alerts(self, held: Script) -> None:
        assert self.queries(by_lookup) == 0

    def test_nor_does_a_fetch_that_finds_what_is_known(self, held: Script) -> None:
        held.look = record("2")
        assert self.queries(by_lookup) == 0

    def test_nor_does_what_was_noted_just_now(self, held: Script) -> None:
        held.look = GONE
        assert self.queries(by_lookup) > 0
        assert self.queries(by_lookup) == 0
        held.pass_(minutes=5)
        assert self.queries(by_lookup) > 0

    def test_nor_does_a_notice_that_is_open_while_nothing_is_fetched(self, held: Script) -> None:
        held.publish(TESTING, "2")
        cache.get(DOMAIN)
        held.pass_(hours=1)
        assert self.queries(by_lookup) == 0

    def test_an_alert_that_cannot_be_written_keeps_no_mail(
        self, held: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        from django.db import DatabaseError

        def broken(_sightings: object) -> None:
            raise DatabaseError("full")

        monkeypatch.setattr(alerts, "note", broken)
        held.look = GONE
        assert cache.get(DOMAIN).policy is not None
        assert "alert not written" in caplog.text


def test_open_counts_are_by_severity_kind_and_state(held: Script) -> None:
    held.look = GONE
    cache.get(DOMAIN)
    counts = alerts.open_counts()
    assert counts.by == {("warning", "record-gone", "suspected"): 1}
    assert (counts.total, counts.unread) == (1, 1)
    Alert.objects.update(acknowledged_at=NOON)
    assert alerts.open_counts().unread == 0


def test_an_alert_of_an_expired_policy_stays_until_all_is_well(script: Script) -> None:
    script.publish(ENFORCE)
    cache.get(DOMAIN)
    script.look = GONE
    live(script, days=0.5)
    script.fetch = DOWN
    for _ in range(3):
        live(script, days=1)
        making.fetched_elsewhere(script.now())
    assert not row().is_valid(script.now())
    assert (Kind.RECORD_GONE, "confirmed") in opened()
    script.look, script.fetch = record(), served(ENFORCE)
    live(script, days=1)
    assert opened() == []
