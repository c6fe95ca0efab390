"""The alarm over real DNS and HTTPS while weeks go by on our own clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from policies import cache, mxcheck, refresh, world
from policies.alerts import delivery, digest
from policies.alerts.kinds import NOTICES, Kind
from policies.models import Alert, PolicyRecord
from tests.alerts.receivers import Hook, Mailbox
from tests.lab import answers, replies
from tests.lab.certificate import Certificate
from tests.mtasts.fetching import fetcher_of, resolver_of

if TYPE_CHECKING:
    from tests.lab.lab import Host, Lab

pytestmark = pytest.mark.django_db

WEEKS = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 1209600\n"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Clock:
    """Starts now, for the certificates are of now; goes when it is told to."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock(
    lab: Lab,
    mailbox: Mailbox,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
    change_environment: Callable[..., None],
) -> Clock:
    clock = Clock()
    outside = replace(world.real(resolver_of(lab), fetcher_of(lab)), now=clock.now)
    monkeypatch.setattr(world, "default", lambda: outside)
    monkeypatch.setattr(world, "limited", lambda _slot: outside)
    change_environment(
        alert_email_to=("ops@example.net",), alert_email_at_once=True,
        alert_webhook_url=hook.url, alert_webhook_secret="0123456789abcdef",
    )  # fmt: skip
    return clock


def live(clock: Clock, domains: list[str], days: float, every: timedelta = DAY / 2) -> None:
    """Mail servers ask every so often, the tick does its rounds, news is sent."""
    for _ in range(int(days * DAY / every)):
        clock.time += every
        for domain in domains:
            with suppress(cache.TransientError):
                cache.get(domain)
        refresh.run()
        mxcheck.run(outside=world.default())
        digest.make(clock.now())
        delivery.send_due(clock.now())


def gone(host: Host) -> None:
    host.txt = None


def doubled(host: Host) -> None:
    host.txt = answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;")


def not_found(host: Host) -> None:
    host.policy = None


def expired(host: Host) -> None:
    host.certificate = Certificate.EXPIRED


def broken(host: Host) -> None:
    host.publish("version: STSv1\nmood: enforce\n", id="2")


def failing(host: Host) -> None:
    host.behaviour = replies.Serve(status=500)


def weak(host: Host) -> None:
    host.publish(WEEKS.replace("enforce", "testing"), id="2")


def short(host: Host) -> None:
    host.publish(WEEKS.replace("1209600", "7200"), id="2")


def wider(host: Host) -> None:
    host.publish(WEEKS.replace("mx.example.org", "mx.example.net"), id="2")


BREAKS: dict[Kind, Callable[[Host], None]] = {
    Kind.RECORD_GONE: gone,
    Kind.RECORD_BROKEN: doubled,
    Kind.HOST_GONE: not_found,
    Kind.CERTIFICATE_REFUSED: expired,
    Kind.POLICY_INVALID: broken,
    Kind.REFRESH_FAILING: failing,
    Kind.ENFORCE_TO_TESTING: weak,
    Kind.MAX_AGE_CUT: short,
    Kind.MX_WIDENED: wider,
}


def subjects(mailbox: Mailbox) -> list[str]:
    """Of the mails about one alert each, without the digests."""
    return [str(mail["Subject"]) for mail in mailbox.mails if " open" not in mail["Subject"]]


def told_of(mailbox: Mailbox, words: str) -> list[str]:
    """The subjects of all mails that say so."""
    return [str(mail["Subject"]) for mail in mailbox.mails if words in mail.get_content()]


def posted(hook: Hook, event: str) -> list[str]:
    """The domains of which the receiver was told so."""
    posts = [json.loads(body) for _, body in hook.posts]
    return sorted(post["domain"] for post in posts if post["event"] == event)


def test_nine_domains_that_break_in_nine_ways_raise_nine_alerts(
    lab: Lab, clock: Clock, mailbox: Mailbox, hook: Hook
) -> None:
    hosts = {kind: lab.domain(f"{kind}.test", WEEKS) for kind in BREAKS}
    domains = [host.domain for host in hosts.values()]
    for domain in domains:
        cache.get(domain)
    live(clock, domains, days=2)
    assert not Alert.objects.exists()
    for kind, host in hosts.items():
        BREAKS[kind](host)
    live(clock, domains, days=7)

    alerts = {alert.domain: alert for alert in Alert.objects.all()}
    assert {domain: alert.kind for domain, alert in alerts.items()} == {
        host.domain: str(kind) for kind, host in hosts.items()
    }
    assert Alert.objects.count() == len(BREAKS)
    assert all(alert.is_open and alert.before_text == WEEKS for alert in alerts.values())
    evidence: dict[Kind, dict[str, Any]] = {
        kind: alerts[host.domain].evidence for kind, host in hosts.items()
    }
    assert evidence[Kind.RECORD_GONE]["dns"]["txt"] == []
    assert sorted(evidence[Kind.RECORD_BROKEN]["dns"]["txt"]) == [
        "v=STSv1; id=1;", "v=STSv1; id=2;",
    ]  # fmt: skip
    assert evidence[Kind.HOST_GONE]["failure"]["reason"] == "no-policy-served"
    assert evidence[Kind.HOST_GONE]["certificate"]["names"] == ["mta-sts.policy-host-gone.test"]
    refused = evidence[Kind.CERTIFICATE_REFUSED]
    assert refused["failure"]["reason"] == "certificate-expired"
    assert refused["certificate"]["names"] == ["mta-sts.certificate-refused.test"]
    assert refused["certificate"]["not_after"] < clock.now().isoformat()
    assert "mood" in alerts["policy-invalid.test"].after_text
    assert evidence[Kind.REFRESH_FAILING]["failure"]["reason"].endswith("http-status-500")
    assert evidence[Kind.ENFORCE_TO_TESTING]["after"]["mode"] == "testing"
    assert evidence[Kind.MAX_AGE_CUT]["after"]["max_age"] == 7200
    assert evidence[Kind.MX_WIDENED]["after"]["mx"] == ["mx.example.net"]

    # Each warning is confirmed by then, and told of once by each way; notices never are.
    warned = sorted(host.domain for kind, host in hosts.items() if kind not in NOTICES)
    assert {alerts[domain].state for domain in warned} == {"confirmed"}
    assert len(warned) == len(set(Kind) - NOTICES) == 6
    mails = subjects(mailbox)
    assert sorted(mail.rpartition(" ")[2] for mail in mails) == warned
    assert posted(hook, "alert.confirmed") == warned
    digests = [mail.get_content() for mail in mailbox.mails if " open" in mail["Subject"]]
    assert all(any(host.domain in text for text in digests) for host in hosts.values())

    for host in hosts.values():
        host.behaviour, host.certificate = replies.GOOD, Certificate.GOOD
        host.publish(WEEKS, id="9")
    live(clock, domains, days=1.5)
    assert not Alert.objects.filter(closed_at=None).exists()
    assert Alert.objects.count() == len(BREAKS)
    assert subjects(mailbox) == mails
    assert posted(hook, "alert.confirmed") == posted(hook, "alert.closed") == warned


def test_a_phase_out_done_right_raises_nothing(
    lab: Lab, clock: Clock, mailbox: Mailbox, hook: Hook
) -> None:
    host = lab.domain("leaves.test", WEEKS)
    cache.get(host.domain)
    live(clock, [host.domain], days=3)
    host.publish(WEEKS.replace("1209600", "86400"), id="2")
    live(clock, [host.domain], days=3)
    host.publish("version: STSv1\nmode: none\nmax_age: 86400\n", id="3")
    live(clock, [host.domain], days=3)
    host.txt, host.policy = None, None
    live(clock, [host.domain], days=3)
    assert not Alert.objects.exists()
    assert not PolicyRecord.objects.exists()
    assert not mailbox.mails
    assert not hook.posts


@pytest.mark.parametrize("max_age", [1_209_600, 86_400])
@pytest.mark.parametrize("number", [1, 3, 9])
def test_a_resolver_that_denies_every_name_confirms_nothing(
    lab: Lab, clock: Clock, mailbox: Mailbox, hook: Hook, number: int, max_age: int
) -> None:
    text = WEEKS.replace("1209600", str(max_age))
    domains = [lab.domain(f"d{at}.test", text).domain for at in range(number)]
    for domain in domains:
        lab[domain].mx = answers.Records("10 mx.example.org.")
        cache.get(domain)
    live(clock, domains, days=2)
    for domain in domains:
        lab[domain].dns = answers.NXDomain()
    live(clock, domains, days=30 / 24, every=HOUR)
    alerts = Alert.objects.all()
    assert {alert.state for alert in alerts} == {"suspected"}
    assert {alert.sightings for alert in alerts} == {1}
    assert len({alert.domain for alert in alerts}) <= 5
    assert not told_of(mailbox, "warning:")
    assert not subjects(mailbox)
    assert not hook.posts

    for domain in domains:
        lab[domain].dns = None
    live(clock, domains, days=1.5)
    assert not Alert.objects.filter(closed_at=None).exists()
    assert PolicyRecord.objects.filter(mode="enforce", valid_end__gt=clock.now()).count() == number
    assert not told_of(mailbox, "warning:")
    assert not subjects(mailbox)
    assert not hook.posts


@pytest.mark.parametrize("with_host", [True, False])
def test_the_only_domain_of_a_small_site_that_loses_its_record_is_told(
    lab: Lab, clock: Clock, mailbox: Mailbox, hook: Hook, with_host: bool
) -> None:
    host = lab.domain("alone.test", WEEKS)
    host.mx = answers.Records("10 mx.example.org.")
    cache.get(host.domain)
    live(clock, [host.domain], days=2)
    host.txt = None
    if not with_host:
        host.a = None
    live(clock, [host.domain], days=4)
    alert = Alert.objects.get(kind=str(Kind.RECORD_GONE))
    assert alert.state == "confirmed"
    assert "MTA-STS: record gone: alone.test" in subjects(mailbox)
    assert any(" open" in each for each in told_of(mailbox, "warning: alone.test: record gone"))
    assert posted(hook, "alert.confirmed")[0] == host.domain


def test_one_domain_of_three_that_vanishes_whole_is_told(
    lab: Lab, clock: Clock, mailbox: Mailbox
) -> None:
    domains = [lab.domain(f"d{at}.test", WEEKS).domain for at in range(3)]
    for domain in domains:
        cache.get(domain)
    live(clock, domains, days=1)
    lab["d0.test"].dns = answers.NXDomain()
    live(clock, domains, days=4)
    assert {alert.domain for alert in Alert.objects.all()} == {"d0.test"}
    assert "MTA-STS: record gone: d0.test" in subjects(mailbox)


def test_a_resolver_that_is_down_raises_nothing(lab: Lab, clock: Clock) -> None:
    domains = [lab.domain(f"d{at}.test", WEEKS).domain for at in range(3)]
    for domain in domains:
        cache.get(domain)
    for domain in domains:
        lab[domain].dns = answers.Fails("SERVFAIL")
    live(clock, domains, days=8)
    assert not Alert.objects.exists()
