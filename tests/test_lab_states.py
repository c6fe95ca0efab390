"""Each state of the decision's table over real DNS and HTTPS: what is answered, what is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

pytest.importorskip("cryptography", reason="pip install -r requirements-dev.txt")

from policies import cache, refresh, world
from policies.models import PolicyRecord
from policies.mtasts.dns import Resolver
from policies.mtasts.https import PolicyFetcher
from tests.lab import answers, replies
from tests.lab.certificate import Certificate
from tests.lab.lab import Host, Lab
from tests.worlds import ENFORCE, NONE, TESTING

pytestmark = pytest.mark.django_db

NAME = "example.test"
FETCH_ERROR = "sts-policy-fetch-error: "


@pytest.fixture
def outside(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> world.World:
    """As patient as a single lookup needs it, for many tests are about hosts that hang."""
    return _live_in(_world(lab, timeout=1), monkeypatch)


@pytest.fixture
def patient(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> world.World:
    """For many at once, on a machine that is busy with others."""
    return _live_in(_world(lab, timeout=8), monkeypatch)


def _world(lab: Lab, timeout: float) -> world.World:
    resolver = Resolver((lab.nameserver,), timeout=timeout / 2)
    fetcher = PolicyFetcher(
        resolver, port=lab.policy_port, timeout=timeout, ca_file=lab.ca_file, allow_private=True
    )
    return world.real(resolver, fetcher)


def _live_in(outside: world.World, monkeypatch: pytest.MonkeyPatch) -> world.World:
    monkeypatch.setattr(world, "default", lambda: outside)
    monkeypatch.setattr(world, "limited", lambda _slot: outside)
    return outside


def _txt(*values: str) -> Callable[[Host], None]:
    return lambda host: setattr(host, "txt", answers.Records(*values))


def _dns(answer: answers.Answer) -> Callable[[Host], None]:
    return lambda host: setattr(host, "txt", answer)


def _host(**attributes: object) -> Callable[[Host], None]:
    def change(host: Host) -> None:
        for name, value in attributes.items():
            setattr(host, name, value)

    return change


def _as_it_is(host: Host) -> None:
    """A domain that does everything right."""


NEW = {
    "no TXT": (_dns(answers.NXDomain()), None, "no-policy-found", "", "nothing"),
    "TXT about something else": (_txt("v=spf1 -all"), None, "no-policy-found", "", "nothing"),
    "several records": (
        _txt("v=STSv1; id=1;", "v=STSv1; id=2;"),
        None,
        "sts",
        FETCH_ERROR + "multiple-mta-sts-records",
        "nothing",
    ),
    "broken record": (
        _txt("v=STSv1; id=a-b;"),
        None,
        "sts",
        FETCH_ERROR + "record-syntax-error",
        "nothing",
    ),
    "policy host absent": (
        _host(a=None),
        None,
        "sts",
        FETCH_ERROR + "no-policy-served",
        "backoff",
    ),
    "404": (_host(policy=None), None, "sts", FETCH_ERROR + "no-policy-served", "backoff"),
    "500": (
        _host(behaviour=replies.Serve(status=500)),
        None,
        "sts",
        FETCH_ERROR + "cannot-fetch-policy+http-status-500",
        "backoff",
    ),
    "redirect": (
        _host(behaviour=replies.redirect("https://elsewhere.test/")),
        None,
        "sts",
        FETCH_ERROR + "cannot-fetch-policy+http-redirect-not-allowed",
        "backoff",
    ),
    "expired certificate": (
        _host(certificate=Certificate.EXPIRED),
        None,
        "sts",
        "sts-webpki-invalid: certificate-expired",
        "backoff",
    ),
    "certificate for another name": (
        _host(certificate=Certificate.WRONG_NAME),
        None,
        "sts",
        "sts-webpki-invalid: certificate-host-mismatch",
        "backoff",
    ),
    "policy does not parse": (
        _host(policy="<html>\n"),
        None,
        "sts",
        "sts-policy-invalid: policy-syntax-error",
        "backoff",
    ),
    "a body that drips": (
        _host(behaviour=replies.Drip("body")),
        None,
        "sts",
        FETCH_ERROR + "cannot-fetch-policy+policy-fetch-timeout",
        "backoff",
    ),
    "mode none": (_host(policy=NONE), "none", "no-policy-found", "", "policy"),
    "enforce": (_as_it_is, "enforce", "sts", "", "policy"),
    "testing": (_host(policy=TESTING), "testing", "sts", "", "policy"),
}


@pytest.mark.parametrize(("change", "mode", "kind", "failure", "stored"), NEW.values(), ids=NEW)
def test_a_new_domain(
    lab: Lab,
    outside: world.World,
    change: Callable[[Host], None],
    mode: str | None,
    kind: str,
    failure: str,
    stored: str,
) -> None:
    host = lab.domain(NAME, ENFORCE)
    change(host)
    answer = cache.get(NAME)
    assert (answer.policy and str(answer.policy.mode)) == mode
    assert answer.result.policy.type == kind
    assert [str(found) for found in answer.result.failures] == ([failure] if failure else [])
    row = PolicyRecord.objects.filter(domain=NAME).first()
    assert ("nothing" if row is None else "backoff" if row.backoff else "policy") == stored


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answers.ServFail(), "dns-lookup+servfail"),
        (answers.ServFail(ede=6), "dns-extended-error-6-dnssec-bogus"),
        (answers.Silence(), "dns-lookup+timeout"),
    ],
)
def test_a_new_domain_while_dns_fails(
    lab: Lab, outside: world.World, answer: answers.Answer, reason: str
) -> None:
    lab.domain(NAME, ENFORCE).txt = answer
    with pytest.raises(cache.TransientError) as caught:
        cache.get(NAME)
    assert caught.value.result.failures[0].reason_code == reason
    assert not PolicyRecord.objects.exists()


CACHED = {
    "same id": (_as_it_is, True, ""),
    "record gone": (
        _dns(answers.NXDomain()),
        False,
        FETCH_ERROR + "no-mta-sts-dns-txt-record",
    ),
    "DNS fails": (_dns(answers.ServFail()), False, FETCH_ERROR + "dns-lookup+servfail"),
    "record broken": (_txt("v=STSv1; id=;"), False, FETCH_ERROR + "record-syntax-error"),
    "new id, host gone": (
        lambda host: (host.publish(id="2"), setattr(host, "a", None)),
        False,
        FETCH_ERROR + "no-policy-served",
    ),
    "new id, certificate expired": (
        lambda host: (
            host.publish(id="2"),
            setattr(host, "certificate", Certificate.EXPIRED),
        ),
        False,
        "sts-webpki-invalid: certificate-expired",
    ),
}


@pytest.mark.parametrize(("change", "fresh", "failure"), CACHED.values(), ids=CACHED)
def test_a_cached_policy_stays_in_force(
    lab: Lab, outside: world.World, change: Callable[[Host], None], fresh: bool, failure: str
) -> None:
    host = lab.domain(NAME, ENFORCE)
    before = cache.get(NAME).policy
    change(host)
    answer = cache.get(NAME)
    assert answer.policy == before
    assert answer.fresh is fresh
    told = [str(found) for found in answer.result.failures]
    assert told == ([f"{failure}+fallback-to-cached-policy"] if failure else [])
    assert not PolicyRecord.objects.get().backoff


def test_a_new_id_brings_the_new_policy(lab: Lab, outside: world.World) -> None:
    host = lab.domain(NAME, ENFORCE)
    cache.get(NAME)
    host.publish(TESTING, id="2")
    assert cache.get(NAME).policy.mode == "testing"
    assert PolicyRecord.objects.get().policy_text == TESTING


def test_while_backing_off_only_dns_is_asked(lab: Lab, outside: world.World) -> None:
    host = lab.domain(NAME, None)
    for _ in range(3):
        cache.get(NAME)
    assert len(lab.requests) == 1
    assert lab.queries.count(f"_mta-sts.{NAME}", "TXT") == 3
    host.publish(ENFORCE, id="2")
    assert cache.get(NAME).policy.mode == "enforce"


def test_an_internationalised_domain_is_asked_for_by_its_a_labels(
    lab: Lab, outside: world.World
) -> None:
    lab.domain("xn--mnchen-3ya.test", ENFORCE)
    assert cache.get("München.test").policy.mode == "enforce"
    assert PolicyRecord.objects.get().domain == "münchen.test"
    assert lab.requests[0].sni == "mta-sts.xn--mnchen-3ya.test"


def test_the_refresh_sees_a_policy_that_changed_under_its_old_id(
    lab: Lab, outside: world.World
) -> None:
    host = lab.domain(NAME, ENFORCE)
    cache.get(NAME)
    host.policy = TESTING
    PolicyRecord.objects.update(refresh_due=timezone.now() - timedelta(seconds=1))
    assert refresh.run().refreshed == 1
    row = PolicyRecord.objects.get()
    assert (row.mode, row.policy_text) == ("testing", TESTING)


def test_forty_domains_are_refreshed_whatever_one_of_them_does(
    lab: Lab, patient: world.World
) -> None:
    for number in range(40):
        lab.domain(f"d{number}.test", ENFORCE)
        cache.get(f"d{number}.test")
    lab["d7.test"].behaviour = replies.Silence("handshake")
    PolicyRecord.objects.update(refresh_due=None)
    counts = refresh.run()
    assert (counts.due, counts.unchanged, counts.failed) == (40, 39, 1)
