"""When mail hosts are probed, what is kept, and what is foretold from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from mtastsweb.values import Address
from policies import leases, probing, trouble
from policies.models import MXCheck, PolicyRecord, Probe
from policies.mtasts.mxfit import MailHost
from policies.mtasts.starttls import NO_STARTTLS, Probed
from policies.trouble import Kind
from tests.lab import answers
from tests.pages import making
from tests.pages.conftest import As, as_
from tests.worlds import CERTIFICATE, ENFORCE, TESTING

if TYPE_CHECKING:
    from tests.lab.lab import Lab

__all__ = ["as_"]

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"
SPAN = timedelta(seconds=5)


def policy(text: str = ENFORCE, *hosts: str) -> PolicyRecord:
    """A policy in use, whose mail hosts are known."""
    now = timezone.now()
    row = making.record(DOMAIN, text, last_use=now)
    check = MXCheck(domain=DOMAIN, due=now + timedelta(days=1))
    names = hosts or ("mx.example.org",)
    check.found("mx", [MailHost(10 * at, name) for at, name in enumerate(names, 1)], row.mx, now)
    check.save()
    return row


class Hosts:
    """Mail hosts that show what is put here; all others verify."""

    def __init__(self, **shown: Probed) -> None:
        self.shown = {name.replace("_", "."): probed for name, probed in shown.items()}
        self.asked: list[str] = []

    def __call__(self, host: str) -> Probed:
        self.asked.append(host)
        return self.shown.get(host, Probed(host, version="TLSv1.3", certificate=CERTIFICATE))


PLAIN = Probed("mx.example.org", NO_STARTTLS)
AWAY = Probed("mx.example.org", "connect-timeout", is_definite=False)


def on() -> None:
    assert probing.switch_on(DOMAIN, None, timezone.now())


def run(hosts: Hosts) -> int | None:
    return probing.tick(SPAN, look=hosts)


class TestWhenIsProbed:
    def test_nothing_unless_it_is_switched_on(self) -> None:
        policy()
        hosts = Hosts()
        assert run(hosts) == 0
        assert not hosts.asked

    def test_whatever_a_host_says(self) -> None:
        policy()
        on()
        hosts = Hosts(mx_example_org=Probed("mx.example.org", NO_STARTTLS, "502 \0 no"))
        assert run(hosts) == 1
        assert Probe.objects.get().results[0]["message"] == "502 \ufffd no"

    def test_at_once_when_switched_on_and_then_daily(self) -> None:
        policy()
        on()
        hosts = Hosts()
        assert (run(hosts), run(hosts)) == (1, 0)
        due = Probe.objects.get().due - timezone.now()
        assert timedelta(hours=21) < due < timedelta(hours=27)
        Probe.objects.update(due=timezone.now())
        assert run(hosts) == 1
        assert hosts.asked == ["mx.example.org"] * 2

    def test_no_more_once_switched_off(self) -> None:
        policy()
        on()
        assert probing.switch_off(DOMAIN)
        assert run(Hosts()) == 0
        assert not probing.switch_off(DOMAIN)

    def test_later_where_no_mail_host_is_known(self) -> None:
        making.record(DOMAIN)
        on()
        assert run(Hosts()) == 0
        assert Probe.objects.get().due > timezone.now() + timedelta(minutes=30)

    def test_some_hosts_of_many(self) -> None:
        policy(ENFORCE, *(f"mx{at}.example.org" for at in range(20)))
        on()
        hosts = Hosts()
        run(hosts)
        assert hosts.asked == [f"mx{at}.example.org" for at in range(probing.HOSTS)]

    def test_by_one_process_at_a_time(self) -> None:
        policy()
        on()
        with leases.held(probing.LEASE, SPAN, timezone.now()):
            assert run(Hosts()) is None

    def test_a_switch_that_goes_off_meanwhile_stays_off(self) -> None:
        policy()
        on()
        row = Probe.objects.get()
        probing.switch_off(DOMAIN)
        probing._save(row, ["mx.example.org"], [Hosts()("mx.example.org")])
        assert not Probe.objects.exists()


class TestWhatIsForetold:
    def found(self, hosts: Hosts, text: str = ENFORCE, *names: str) -> list[Kind]:
        policy(text, *names)
        on()
        run(hosts)
        return [each.kind for each in trouble.found(timezone.now()).entries]

    def test_nothing_where_hosts_verify(self) -> None:
        assert self.found(Hosts()) == []
        (kept,) = Probe.objects.get().results
        assert (kept["reason"], kept["issuer"]) == ("", CERTIFICATE.issuer)
        assert kept["end"] == CERTIFICATE.not_after.isoformat()

    def test_a_deferral_where_none_does(self) -> None:
        assert self.found(Hosts(mx_example_org=PLAIN)) == [Kind.MX]
        (entry,) = trouble.found(timezone.now()).entries
        assert f"mx.example.org ({NO_STARTTLS})" in entry.says

    def test_what_a_tested_policy_would_suffer(self) -> None:
        shown = Hosts(mx_example_org=PLAIN)
        assert self.found(shown, TESTING) == [Kind.TESTING]

    def test_nothing_where_a_host_cannot_be_reached(self) -> None:
        assert self.found(Hosts(mx_example_org=AWAY)) == []

    def test_nothing_where_another_host_takes_the_mail(self) -> None:
        shown = Hosts(a_example_org=Probed("a.example.org", NO_STARTTLS))
        text = ENFORCE.replace("mx.example.org", "*.example.org")
        assert self.found(shown, text, "a.example.org", "b.example.org") == []

    def test_hosts_that_do_not_fit_take_none(self) -> None:
        shown = Hosts(mx_example_org=PLAIN)
        names = ("mx.example.org", "good.elsewhere.example")
        assert self.found(shown, ENFORCE, *names) == [Kind.MX]

    def test_once_what_does_not_even_fit(self) -> None:
        shown = Hosts(in_elsewhere_example=Probed("in.elsewhere.example", NO_STARTTLS))
        assert self.found(shown, ENFORCE, "in.elsewhere.example") == [Kind.MX]


class TestWhereToConnect:
    @pytest.mark.parametrize(("port", "allowed"), [(25, False), (2525, True)])
    def test_never_inside_on_the_port_of_mail(
        self, change_environment: Callable[..., None], port: int, allowed: bool
    ) -> None:
        change_environment(allow_private_addresses=True, probe_port=port)
        assert probing.tool(settings.MTASTS).allow_private is allowed

    def test_a_mail_host_on_this_machine_is_not_connected_to(
        self, lab: Lab, change_environment: Callable[..., None]
    ) -> None:
        lab.zone["mx.example.org", "A"] = answers.Records("127.0.0.1")
        host, _, port = lab.nameserver.partition(":")
        change_environment(allow_private_addresses=True, nameservers=(Address(host, int(port)),))
        shown = probing.tool(settings.MTASTS).probe("mx.example.org")
        assert (shown.reason, shown.address) == ("address-not-allowed", "")


class TestPage:
    def test_an_operator_switches_it_on_and_off(self, as_: As) -> None:
        policy()
        client = as_("operator")
        assert b"Probe daily" in client.get(f"/policies/{DOMAIN}/").content
        answer = client.post(f"/policies/{DOMAIN}/probe/", {"on": "1"}, follow=True)
        assert b"are probed within a few minutes" in answer.content
        assert b"not probed yet" in answer.content
        run(Hosts(mx_example_org=PLAIN))
        page = client.get(f"/policies/{DOMAIN}/").content.decode()
        assert NO_STARTTLS in page
        assert "Probe no more" in page
        client.post(f"/policies/{DOMAIN}/probe/", {"on": "0"})
        assert not Probe.objects.exists()
        said = LogEntry.objects.values_list("change_message", flat=True)
        assert sorted(said) == [
            "Probe of its mail hosts switched off.", "Probe of its mail hosts switched on.",
        ]  # fmt: skip

    def test_asking_twice_is_logged_once(self, as_: As) -> None:
        policy()
        for _time in range(2):
            as_("operator").post(f"/policies/{DOMAIN}/probe/", {"on": "1"})
        assert LogEntry.objects.count() == 1

    def test_a_viewer_is_offered_none(self, as_: As) -> None:
        policy()
        assert b"Probe daily" not in as_("viewer").get(f"/policies/{DOMAIN}/").content
