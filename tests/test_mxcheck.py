"""The daily MX check: what is looked at and when, what is kept, and what never counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from policies import cache, leases, mxcheck, refresh, tasks
from policies.models import MXCheck, PolicyRecord, Summary
from policies.models.policy import NEVER
from policies.mtasts import Domain, parse_domain
from policies.mtasts.dns import Resolver
from policies.mtasts.errors import DNSError
from policies.mtasts.mailhosts import MailHosts, mail_hosts
from policies.mtasts.mxfit import Named
from policies.mxcheck import Counts
from tests.lab.answers import CNAME, NXDomain, Records, ServFail
from tests.worlds import ENFORCE, NONE, NOON, TESTING, Script, mail, policy

if TYPE_CHECKING:
    from tests.lab.lab import Lab

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"
NAME = parse_domain(DOMAIN)
SILENT = DNSError("no answer", reason="timeout")


def cached(script: Script, domain: str = DOMAIN, text: str = ENFORCE, **columns: Any) -> None:
    """A policy that a mail server asked for now."""
    cache.upsert(domain, "1", policy(text), text)
    PolicyRecord.objects.filter(domain=domain).update(**({"last_use": script.now()} | columns))


def since(script: Script) -> tuple[datetime, datetime]:
    """Since when the next walk looks at uses, and now."""
    counts = Summary.objects.get(name=mxcheck.WALK).counts
    return datetime.fromisoformat(counts["since"]), script.now()


def run(script: Script, **options: Any) -> Counts:
    return mxcheck.run(outside=script.world, **options)


def check(domain: str = DOMAIN) -> MXCheck:
    return MXCheck.objects.get(domain=domain)


class TestWhatIsChecked:
    def test_a_policy_in_use_at_once_and_then_daily(self, script: Script) -> None:
        cached(script)
        assert run(script) == Counts(new=1, checked=1)
        assert run(script) == Counts()
        script.pass_(hours=21)
        assert run(script) == Counts()
        script.pass_(hours=6)
        assert run(script) == Counts(checked=1)
        assert script.mx_looks == [DOMAIN, DOMAIN]

    def test_of_testing_policies_too(self, script: Script) -> None:
        cached(script, text=TESTING)
        assert run(script).checked == 1

    @pytest.mark.parametrize(
        "columns",
        [
            {"last_use": None},
            {"last_use": NOON - timedelta(days=31)},
            {"mode": "none"},
            {"backoff": True},
        ],
        ids=["never used", "used long ago", "mode none", "backs off"],
    )
    def test_not_what_needs_none(self, script: Script, columns: dict[str, Any]) -> None:
        cached(script, **columns)
        assert run(script) == Counts()
        assert not MXCheck.objects.exists()

    @pytest.mark.parametrize(
        "change", [{"mode": "none"}, {"backoff": True}, {"last_use": NOON - timedelta(days=30)}]
    )
    def test_no_longer_what_needs_none_any_more(
        self, script: Script, change: dict[str, Any]
    ) -> None:
        cached(script)
        run(script)
        PolicyRecord.objects.update(**change)
        script.pass_(days=2)
        assert run(script) == Counts(dropped=1)
        assert not MXCheck.objects.exists()

    def test_no_longer_what_is_forgotten(self, script: Script) -> None:
        cached(script)
        run(script)
        cache.delete([DOMAIN])
        script.pass_(days=2)
        assert run(script) == Counts(dropped=1)

    def test_all_of_many_a_piece_at_a_time(self, script: Script) -> None:
        yesterday = script.now() - timedelta(days=1)
        for number in range(25):
            cached(script, f"d{number:02}.example", last_use=yesterday)
        found = [run(script, walked=10).new for _ in range(4)]
        assert (found, MXCheck.objects.count()) == ([11, 11, 3, 0], 25)
        cached(script, "a-new-one.example", last_use=yesterday)
        assert [run(script, walked=10).new for _ in range(3)][:1] in ([0], [1])
        assert MXCheck.objects.filter(domain="a-new-one.example").exists()
        assert Summary.objects.get(name=mxcheck.WALK).counts.keys() == {"since", "after", "new"}

    def test_fewer_of_many_while_all_are_planned_for(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mxcheck, "IDLY", 2)
        yesterday = script.now() - timedelta(days=1)
        for number in range(9):
            cached(script, f"d{number}.example", last_use=yesterday)
        assert [run(script, walked=10).new for _ in range(2)] == [9, 0]
        cached(script, "d9.example", last_use=yesterday)
        # Three of them each round, and all that are walked by the round after one that found some.
        assert [run(script, walked=10).new for _ in range(4)] == [0, 0, 0, 1]
        for number in range(10, 14):
            cached(script, f"d{number}.example", last_use=yesterday)
        assert run(script, walked=10).new == 4

    def test_what_is_used_before_all_else(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mxcheck, "IDLY", 2)
        for number in range(9):
            cached(script, f"d{number}.example", last_use=script.now() - timedelta(days=1))
        run(script)
        run(script)
        cached(script, "zebra.example", last_use=script.now() - timedelta(days=31))
        assert run(script) == Counts()
        script.pass_(minutes=1)
        PolicyRecord.objects.filter(domain="zebra.example").update(last_use=script.now())
        assert run(script) == Counts(new=1, checked=1)

    def test_a_use_that_is_written_late(self, script: Script) -> None:
        cached(script, "a.example", last_use=None)
        mxcheck.walk(script.now())
        used = script.now()
        script.pass_(minutes=1)
        mxcheck.walk(script.now())
        PolicyRecord.objects.update(last_use=used)
        assert mxcheck._used(*since(script), 10)[0] == ["a.example"]

    def test_more_than_are_walked_in_the_order_of_their_use(self, script: Script) -> None:
        mxcheck.walk(script.now())
        for number in range(9):
            script.pass_(minutes=1)
            cached(script, f"d{number}.example")
        found = []
        after, now = since(script)
        for _ in range(3):
            domains, after = mxcheck._used(after, now, 3)
            found.append(sorted(domains))
        assert found == [
            [f"d{number}.example" for number in numbers]
            for numbers in (range(4), range(4, 8), range(8, 9))
        ]

    def test_checks_come_apart_from_each_other(self, script: Script) -> None:
        for number in range(20):
            cached(script, f"d{number}.example")
        run(script)
        due = set(MXCheck.objects.values_list("due", flat=True))
        assert len(due) == 20
        assert max(due) - min(due) > timedelta(minutes=10)


class TestWhatIsKept:
    def test_hosts_and_what_they_come_to(self, script: Script) -> None:
        cached(script)
        script.mx[DOMAIN] = mail("new.example.net", "mx.example.org")
        run(script)
        row = check()
        assert row.hosts == [[10, "new.example.net"], [20, "mx.example.org"]]
        assert (row.finding, row.foretells, row.named) == ("detour", True, "mx")
        assert row.checked_at == row.since == NOON

    def test_since_when_it_is_so(self, script: Script) -> None:
        cached(script)
        run(script)
        script.pass_(days=2)
        run(script)
        assert check().since == NOON
        script.mx[DOMAIN] = mail("elsewhere.example")
        script.pass_(days=2)
        run(script)
        assert (check().finding, check().since) == ("none", script.now())

    def test_what_was_known_where_dns_fails(self, script: Script) -> None:
        cached(script)
        script.mx[DOMAIN] = mail("elsewhere.example")
        run(script)
        script.mx[DOMAIN] = SILENT
        script.pass_(days=2)
        assert run(script) == Counts(failed=1)
        row = check()
        assert (row.finding, row.checked_at) == ("none", NOON)
        assert (row.failure, row.failed_at) == ("timeout", script.now())
        assert timedelta(hours=1) <= row.due - script.now() <= timedelta(hours=2)

    def test_nothing_where_dns_has_always_failed(self, script: Script) -> None:
        cached(script)
        script.mx[DOMAIN] = SILENT
        run(script)
        assert (check().finding, check().foretells) == ("", False)
        assert check().fit(["mx.example.org"]) is None

    def test_no_more_hosts_than_a_sane_domain_has(self, script: Script) -> None:
        cached(script)
        script.mx[DOMAIN] = mail(*(f"mx{number}.example.org" for number in range(500)))
        run(script)
        assert len(check().hosts) == mxcheck.MAX_HOSTS

    def test_a_changed_policy_is_compared_at_once(self, script: Script) -> None:
        cached(script)
        run(script)
        script.publish(ENFORCE.replace("mx.example.org", "mx.example.net"), "2")
        PolicyRecord.objects.update(refresh_due=None)
        refresh.run(outside=script.world)
        assert check().due == NEVER
        run(script)
        assert check().finding == "none"


class TestRenewal:
    def test_a_refetch_checks_anew(self, script: Script) -> None:
        cached(script)
        run(script)
        script.publish()
        script.mx[DOMAIN] = mail("elsewhere.example")
        fetch, _ = tasks.request_refetch(NAME, None)
        tasks.refetch(fetch.pk)
        assert check().finding == "none"
        assert check().due > script.now()

    def test_where_there_was_no_check_yet(self, script: Script) -> None:
        cached(script, last_use=None)
        assert mxcheck.renew(NAME, outside=script.world) is not None
        assert check().finding == "fits"

    @pytest.mark.parametrize("text", [None, NONE])
    def test_not_without_a_policy_to_compare(self, script: Script, text: str | None) -> None:
        if text:
            cached(script, text=text)
        assert mxcheck.renew(NAME, outside=script.world) is None
        assert not script.mx_looks


class TestRounds:
    def test_one_at_a_time_across_machines(self, script: Script) -> None:
        cached(script)
        with leases.held(mxcheck.LEASE, timedelta(minutes=1), script.now()):
            assert mxcheck.tick(timedelta(seconds=5), outside=script.world) is None
        assert mxcheck.tick(timedelta(seconds=5), outside=script.world) == Counts(1, 1)

    def test_the_tick_makes_one(self, script: Script) -> None:
        cached(script)
        script.publish()
        tasks.tick()
        assert check().finding == "fits"

    def test_end_when_the_product_stops(self, script: Script) -> None:
        cached(script)
        assert run(script, stopping=lambda: True) == Counts(new=1)

    def test_keep_to_the_rate(self, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mxcheck, "RATE", 4)
        for number in range(20):
            cached(script, f"d{number}.example")
        counts = run(script, span=timedelta(seconds=1))
        assert 4 <= counts.checked <= 8

    def test_are_not_ended_by_a_row_whose_domain_is_none(self, script: Script) -> None:
        cached(script)
        cached(script, "odd.example")
        PolicyRecord.objects.filter(domain="odd.example").update(domain="odd..example")
        assert run(script) == Counts(new=2, checked=1, failed=1)
        assert check("odd..example").failure == "bad-name"
        assert check("odd..example").due > script.now()

    def test_nor_by_an_answer_that_breaks_us(self, script: Script) -> None:
        cached(script)
        cached(script, "odd.example")

        def mail_of(name: Domain) -> MailHosts | DNSError:
            if name.ascii == "odd.example":
                raise RuntimeError("a fault of ours")
            return mail("mx.example.org")

        outside = replace(script.world, mail=mail_of)
        assert mxcheck.run(outside=outside) == Counts(new=2, checked=1, failed=1)
        assert check("odd.example").failure == "broken"

    def test_take_on_nothing_after_their_time(self, script: Script) -> None:
        cached(script)
        counts = run(script, span=timedelta(0))
        assert (counts.checked, script.mx_looks) == (0, [])


@pytest.mark.usefixtures("script")
def test_an_idle_round_reads_no_more_than_its_piece() -> None:
    now = NOON
    with CaptureQueriesContext(connection) as made:
        mxcheck.walk(now)
        mxcheck._due(now, Counts())
    asked = [each["sql"] for each in made if each["sql"].startswith("SELECT")]
    assert asked
    if connection.vendor != "sqlite":
        return  # PostgreSQL's plans depend on what is in the tables
    with connection.cursor() as cursor:
        for statement in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            steps = [step for *_, step in cursor.fetchall()]
            assert all(step.startswith(("SEARCH", "CORRELATED")) for step in steps), (
                statement,
                steps,
            )
            assert not any("policy_by_mode" in step for step in steps), statement


class TestOverDNS:
    """What `mail_hosts` makes of real answers."""

    @pytest.fixture
    def found(self, lab: Lab) -> Callable[[], MailHosts]:
        resolver = Resolver((lab.nameserver,), timeout=5)
        return lambda: mail_hosts(resolver, parse_domain("example.test"), 5)

    def test_hosts_by_preference(self, lab: Lab, found: Callable[[], MailHosts]) -> None:
        host = lab.domain("example.test")
        host.mx = Records("20 b.example.net.", "10 A.Example.net.", "30 a.example.net.")
        assert found().pairs == mail_pairs((10, "a.example.net"), (20, "b.example.net"))
        assert found().named is Named.MX

    def test_an_alias_stays_the_name_in_the_mx_record(
        self, lab: Lab, found: Callable[[], MailHosts]
    ) -> None:
        lab.domain("example.test").mx = Records("10 mx.example.test.")
        lab.zone["mx.example.test", "A"] = CNAME("real.example.net")
        assert found().hosts == ("mx.example.test",)

    def test_a_domain_that_is_an_alias_has_the_hosts_of_its_target(
        self, lab: Lab, found: Callable[[], MailHosts]
    ) -> None:
        lab.domain("example.test").mx = CNAME("real.example.net")
        lab.zone["real.example.net", "MX"] = Records("10 mx.example.net.")
        assert found().hosts == ("mx.example.net",)

    def test_a_domain_without_mx_takes_its_mail_itself(
        self, lab: Lab, found: Callable[[], MailHosts]
    ) -> None:
        lab.domain("example.test")
        assert (found().hosts, found().named) == (("example.test",), Named.DOMAIN)

    def test_a_domain_that_takes_no_mail(self, lab: Lab, found: Callable[[], MailHosts]) -> None:
        lab.domain("example.test").mx = Records("0 .")
        assert (found().hosts, found().named) == ((), Named.NULL)

    def test_a_domain_that_is_not_there(self, lab: Lab, found: Callable[[], MailHosts]) -> None:
        lab.domain("example.test").mx = NXDomain()
        assert (found().hosts, found().named) == ((), Named.ABSENT)

    def test_no_answer_is_none(self, lab: Lab, found: Callable[[], MailHosts]) -> None:
        lab.domain("example.test").mx = ServFail()
        with pytest.raises(DNSError):
            found()


def mail_pairs(*pairs: tuple[int, str]) -> tuple[Any, ...]:
    from policies.mtasts.mxfit import MailHost

    return tuple(MailHost(*pair) for pair in pairs)
