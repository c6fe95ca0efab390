"""A hundred domains in every failure over three days: what pages and reports say, to the count."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

pytest.importorskip("cryptography", reason="pip install -r requirements-dev.txt")
pytest.importorskip("jsonschema", reason="pip install -r requirements-dev.txt")

from policies import cache, outcome_listing, outcomes, world
from policies.listing import OUTCOMES, outcome_columns
from policies.models import PolicyRecord
from policies.mtasts.dns import Resolver
from policies.mtasts.https import PolicyFetcher
from policies.outcome_listing import Filters
from policies.outcomes.days import Numbers
from tests.lab import answers, replies
from tests.lab.certificate import Certificate
from tests.lab.lab import Host, Lab
from tests.tlsrpt import report_schema
from tests.worlds import ENFORCE

pytestmark = pytest.mark.django_db

PER_KIND = 4
DAYS = 3
FALLBACK = "+fallback-to-cached-policy"
BACK_OFF = "back-off-after-recent-fetch-error+"

Break = Callable[[Host], None]
Key = tuple[date, str, str, str]
"""Day, domain, result type and reason code; both empty where nothing failed."""


def _txt(answer: answers.Answer) -> Break:
    return lambda host: setattr(host, "txt", answer)


def _certificate(certificate: Certificate) -> Break:
    return lambda host: setattr(host, "certificate", certificate)


def _serve(**how: object) -> Break:
    return lambda host: setattr(host, "behaviour", replies.Serve(**how))  # type: ignore[arg-type]


def _policy(text: str | None) -> Break:
    return lambda host: setattr(host, "policy", text)


def _no_host(host: Host) -> None:
    host.resolve_to()


def _redirect(host: Host) -> None:
    host.behaviour = replies.redirect("https://elsewhere.test/")


FETCH, INVALID, PKI = "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"

RECORD_FAILURES: dict[str, tuple[Break, str, str]] = {
    "twice": (
        _txt(answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;")),
        FETCH,
        "multiple-mta-sts-records",
    ),
    "broken": (_txt(answers.Records("v=STSv1; id=a-b;")), FETCH, "record-syntax-error"),
}
HOST_FAILURES: dict[str, tuple[Break, str, str]] = {
    "absent": (_no_host, FETCH, "no-policy-served"),
    "not-found": (_policy(None), FETCH, "no-policy-served"),
    "error": (_serve(status=500), FETCH, "cannot-fetch-policy+http-status-500"),
    "redirect": (_redirect, FETCH, "cannot-fetch-policy+http-redirect-not-allowed"),
    "html": (
        _serve(content_type="text/html"),
        FETCH,
        "cannot-fetch-policy+content-type-not-text-plain",
    ),
    "expired": (_certificate(Certificate.EXPIRED), PKI, "certificate-expired"),
    "future": (_certificate(Certificate.NOT_YET_VALID), PKI, "certificate-not-yet-valid"),
    "self-signed": (
        _certificate(Certificate.SELF_SIGNED),
        PKI,
        "certificate-not-trusted+self-signed",
    ),
    "other-name": (_certificate(Certificate.WRONG_NAME), PKI, "certificate-host-mismatch"),
    "syntax": (_policy("version: STSv1\nmode: enforced\n"), INVALID, "policy-syntax-error"),
}
HELD_RECORD_FAILURES = {
    **RECORD_FAILURES,
    "gone": (_txt(answers.NXDomain()), FETCH, "no-mta-sts-dns-txt-record"),
    "dns": (_txt(answers.ServFail()), FETCH, "dns-lookup+servfail"),
}
POLICY = ENFORCE.replace("86400", "1000000")


class Simulation:
    """Three days of lookups, and a tally of what was done, kept beside the product's own."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.tally: Counter[Key] = Counter()
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        self.time = today - timedelta(days=DAYS - 1)
        resolver = Resolver((lab.nameserver,), timeout=2)
        fetcher = PolicyFetcher(
            resolver, port=lab.policy_port, timeout=5, ca_file=lab.ca_file, allow_private=True
        )
        self.world = dataclasses.replace(world.real(resolver, fetcher), now=self.now)

    def now(self) -> datetime:
        return self.time

    def domains(
        self, state: str, kinds: dict[str, tuple[Break, str, str]]
    ) -> Iterator[tuple[str, int, Break, str, str]]:
        """Name, lookups a day, what breaks it, what that is called."""
        for kind, (break_, result_type, reason) in kinds.items():
            for number in range(PER_KIND):
                yield f"{kind}-{number}.{state}.test", 1 + number % 3, break_, result_type, reason

    def look_up(self, domain: str, result_type: str, *reasons: str) -> None:
        """One lookup for each reason that it has to end in; empty: success."""
        for reason in reasons:
            cache.get(domain, outside=self.world)
            failed = (result_type, reason) if reason else ("", "")
            self.tally[(self.time.date(), domain, *failed)] += 1

    def run(self) -> None:
        for name, _, break_, *_ in self.domains("new", RECORD_FAILURES | HOST_FAILURES):
            break_(self.lab.domain(name, POLICY))
        for name, *_ in self.domains("held", HELD_RECORD_FAILURES | HOST_FAILURES):
            self.lab.domain(name, POLICY)
        for day in range(DAYS):
            if day == 1:
                self._break_what_is_held()
            self._day(day)
            self.time += timedelta(days=1)
        self.time -= timedelta(days=1)

    def _break_what_is_held(self) -> None:
        for name, _, break_, *_ in self.domains("held", HELD_RECORD_FAILURES):
            break_(self.lab[name])
        for name, _, break_, *_ in self.domains("held", HOST_FAILURES):
            break_(self.lab[name])
            self.lab[name].txt = answers.Records("v=STSv1; id=2;")

    def _day(self, day: int) -> None:
        for name, times, _, result_type, reason in self.domains("new", RECORD_FAILURES):
            self.look_up(name, result_type, *[reason] * times)
        for name, times, _, result_type, reason in self.domains("new", HOST_FAILURES):
            pause = [BACK_OFF + reason] * (times - 1)
            self.look_up(name, result_type, reason)
            self.look_up(name, FETCH, *pause)
        held = HELD_RECORD_FAILURES | HOST_FAILURES
        for name, times, _, result_type, reason in self.domains("held", held):
            self.look_up(name, result_type, *([reason + FALLBACK if day else ""] * times))


@pytest.fixture
def done(lab: Lab) -> Simulation:
    simulation = Simulation(lab)
    simulation.run()
    return simulation


def of(tally: Counter[Key]) -> Numbers:
    """What the tally comes to."""
    fallback = sum(n for (*_, reason), n in tally.items() if reason.endswith(FALLBACK))
    success = sum(n for (*_, reason), n in tally.items() if not reason)
    return Numbers(success, fallback, tally.total() - success - fallback, tally.total())


def part(tally: Counter[Key], fits: Callable[[Key], bool]) -> Counter[Key]:
    return Counter({key: number for key, number in tally.items() if fits(key)})


def test_list_page_chart_and_report_agree_with_what_was_done(
    done: Simulation, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    # What has no place in a report, and none among the domains.
    done.lab.domain("unasked.test", id=None)
    cache.get("unasked.test", outside=done.world)
    done.lab.domain("silent.test").txt = answers.ServFail()
    with pytest.raises(cache.TransientError):
        cache.get("silent.test", outside=done.world)
    cache.refetch("expired-0.held.test", outside=done.world)

    tally, today = done.tally, done.time.date()
    assert len({domain for _, domain, *_ in tally}) >= 100
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    client.force_login(User.objects.create_superuser("operator"))

    asked = Filters.read({"days": "7", "source": "lookup"})
    by_day = {day.day: day.numbers for day in outcome_listing.by_day(asked, today)}
    for day in days:
        expected = of(part(tally, lambda key, day=day: key[0] == day))  # type: ignore[misc]
        without_mta_sts = Numbers(success=1, asked=1) if day == today else Numbers()
        assert by_day[day] == expected + without_mta_sts
    check_page(client, tally, days)
    check_histories(tally, done.time)
    check_list(tally)
    for day in days:
        check_report(tally, day, capsys)


def check_page(client: Client, tally: Counter[Key], days: list[date]) -> None:
    """Every row of every page, and the bars of the chart."""
    numbers: Counter[tuple[date, str]] = Counter()
    details: Counter[Key] = Counter()
    address = "/outcomes/?days=7&source=lookup"
    while address:
        page = client.get(address)
        for line in page.context["lines"]:
            if not line.row.domain:
                continue
            numbers[line.row.day, line.ascii] += line.numbers.count
            for detail in line.details:
                failure = detail.failure
                key = (line.row.day, line.ascii, failure.result_type, failure.reason)
                details[key] += failure.count
        address = page.context["next"] and "/outcomes/" + page.context["next"]
    by_domain: Counter[tuple[date, str]] = Counter()
    for (day, domain, *_), number in tally.items():
        by_domain[day, domain] += number
    assert numbers == by_domain
    assert details == part(tally, lambda key: bool(key[3]))

    drawn = client.get("/outcomes/?days=7&source=lookup&failures=1").content.decode()
    bars = dict(re.findall(r"<title>(\S+): 0 success, (\d+ fallback, \d+ failure)", drawn))
    for day in days:
        expected = of(part(tally, lambda key, day=day: key[0] == day))  # type: ignore[misc]
        said = f"{expected.fallback} fallback, {expected.failure} failure"
        assert bars[f"{day}"] == said


def check_histories(tally: Counter[Key], now: datetime) -> None:
    """What the domains' own pages say; an operator's refetch is in one of them, too."""
    for domain in {domain for _, domain, *_ in tally} - {"expired-0.held.test"}:
        history = outcomes.history(domain, now)
        own = part(tally, lambda key, domain=domain: key[1] == domain)  # type: ignore[misc]
        assert history.total == of(own)
        causes: Counter[str] = Counter()
        for (*_, result_type, reason), number in own.items():
            if reason:
                causes[f"{result_type}: {reason}"] += number
        assert {cause.outcome.code: cause.count for cause in history.causes} == causes


def check_list(tally: Counter[Key]) -> None:
    """The latest outcome of each policy, and how many have which."""
    last = {domain: key for key in sorted(tally) for domain in [key[1]]}
    latest = dict(PolicyRecord.objects.values_list("domain", "outcome_failure"))
    held = {domain for domain in last if ".held." in domain}
    assert held <= set(latest)
    assert {domain: latest[domain] for domain in held} == {
        domain: last[domain][2] for domain in held
    }
    outcomes.summarize()
    counts = outcomes.latest_counts()
    for choice in OUTCOMES:
        columns = outcome_columns(choice.value)
        shown = PolicyRecord.objects.filter(outcome_type=columns[0], outcome_failure=columns[1])
        assert counts.get(columns, 0) == shown.count()


def check_report(tally: Counter[Key], day: date, capsys: pytest.CaptureFixture[str]) -> None:
    """All failures of the day with their numbers, and nothing else."""
    call_command("mtasts", "report", "--day", str(day))
    report = report_schema.read(capsys.readouterr().out)
    reported: Counter[Key] = Counter()
    domains = set()
    for policy in report["policies"]:
        domain = policy["policy"]["policy-domain"]
        domains.add(domain)
        assert set(policy["summary"].values()) == {0}
        for failure in policy["failure-details"]:
            key = (day, domain, failure["result-type"], failure["failure-reason-code"])
            reported[key] += failure["failed-session-count"]
    assert reported == part(tally, lambda key: key[0] == day and bool(key[3]))
    assert domains == {domain for when, domain, *_ in tally if when == day}
