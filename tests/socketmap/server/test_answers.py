"""What Postfix gets, and when DNS and policy hosts are asked for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mtastsweb.environment import OnDNSError
from policies.models import PolicyRecord
from policies.mtasts.errors import DNSError, FetchError, MultipleRecordsError
from policies.socketmap.server.counts import Forced
from policies.socketmap.server.server import Limits
from tests.socketmap.server.running import Running
from tests.worlds import AT_ONCE, ENFORCE, NONE, TESTING, Script

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"
SERVFAIL = DNSError("no answer", reason="servfail")
BOGUS = DNSError("no answer", reason="servfail", ede=6)
REFUSED = FetchError("refused", reason="connection-refused")


def test_an_enforce_policy_is_fetched_once_and_answered_from_memory(
    serve: Serve, script: Script
) -> None:
    script.publish(ENFORCE)
    server = serve()
    assert [server.ask("example.org") for _ in range(3)] == [SECURE] * 3
    assert script.looks == script.fetches == ["example.org"]


def test_every_spelling_of_a_domain_is_that_domain(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    server = serve()
    spellings = ["example.org", "example.org.", "Example.ORG", "example.org:25"]
    assert {server.ask(each) for each in spellings} == {SECURE}
    assert script.looks == ["example.org"]


def test_the_second_map_name_carries_tlsrpt_attributes(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    server = serve()
    for name in ("postfix-tlsrpt", "QUERYwithTLSRPT"):
        assert server.ask("example.org", name).startswith(SECURE + b" policy_type=sts")
    for name in ("postfix", "QUERY"):
        assert server.ask("example.org", name) == SECURE


@pytest.mark.parametrize("text", [TESTING, NONE])
def test_what_is_not_enforced_is_not_found(serve: Serve, script: Script, text: str) -> None:
    script.publish(text)
    server = serve()
    assert server.ask("example.org") == b"NOTFOUND "


def test_an_unknown_map_is_refused_for_good(serve: Serve) -> None:
    assert serve().ask("example.org", "access") == b"PERM unknown map"


@pytest.mark.parametrize("key", ["[mail.example.org]", ".example.org", ".org", "192.0.2.1", "a b"])
def test_what_is_no_domain_is_not_found_and_not_looked_up(
    serve: Serve, script: Script, key: str
) -> None:
    assert serve().ask(key) == b"NOTFOUND "
    assert not script.looks


def test_many_who_ask_at_once_share_one_lookup(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    gate = threading.Event()
    script.during_fetch = lambda: bool(gate.wait(10))
    server = serve()
    clients = [server.client() for _ in range(20)]
    for client in clients:
        client.send(b"19:postfix example.org,")
    server.wait_until(lambda: server.server.answers.waiting == 20)
    gate.set()
    assert [client.reply() for client in clients] == [SECURE] * 20
    for client in clients:
        client.close()
    assert script.fetches == ["example.org"]


@pytest.mark.parametrize(
    ("ttl", "trusted"), [(5, 60), (300, 300), (86400, 3600)], ids=["short", "usual", "long"]
)
def test_a_look_at_dns_is_believed_for_its_ttl_within_bounds(
    serve: Serve, script: Script, ttl: int, trusted: int
) -> None:
    script.publish(ENFORCE)
    script.ttl = ttl
    server = serve()
    server.ask("example.org")
    server.pass_(trusted - 5)
    server.ask("example.org")
    assert len(script.looks) == 1
    server.pass_(10)
    assert server.ask("example.org") == SECURE
    assert len(script.looks) == 2


@pytest.mark.parametrize(("ttl", "trusted"), [(5, 60), (86400, 900)], ids=["short", "long"])
def test_an_absence_is_believed_for_a_quarter_of_an_hour_at_most(
    serve: Serve, script: Script, ttl: int, trusted: int
) -> None:
    script.ttl = ttl
    server = serve()
    assert server.ask("example.org") == b"NOTFOUND "
    server.pass_(trusted - 5)
    server.ask("example.org")
    assert len(script.looks) == 1
    server.pass_(10)
    server.ask("example.org")
    assert len(script.looks) == 2


def test_a_policy_goes_on_from_memory_whatever_dns_does(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    server = serve()
    server.ask("example.org")
    script.look = SERVFAIL
    for _ in range(3):
        server.pass_(3700)
        assert server.ask("example.org") == SECURE
    assert len(script.looks) == 4


def test_a_slow_look_keeps_nobody_who_has_a_policy_waiting(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    server = serve()
    server.ask("example.org")
    script.publish(ENFORCE.replace("mx.example", "mx2.example"), record_id="2")
    gate = threading.Event()
    script.during_fetch = lambda: bool(gate.wait(10))
    server.pass_(3700)
    assert server.ask("example.org") == SECURE  # half a second later
    assert server.ask("example.org") == SECURE  # at once
    gate.set()
    server.wait_until(lambda: not server.server.answers.flights)
    assert server.ask("example.org") == SECURE.replace(b"mx.", b"mx2.")
    assert script.fetches == ["example.org"] * 2


def test_a_policy_of_no_age_is_answered_from_memory_for_a_minute(
    serve: Serve, script: Script
) -> None:
    script.publish(AT_ONCE)
    server = serve()
    server.ask("example.org")
    server.pass_(55)
    assert server.ask("example.org") == SECURE
    assert len(script.fetches) == 1
    server.pass_(10)
    script.pass_(seconds=65)
    assert server.ask("example.org") == SECURE
    assert len(script.fetches) == 2


def test_a_policy_is_not_answered_beyond_its_end(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE.replace("86400", "90"))
    server = serve()
    server.ask("example.org")
    script.look = SERVFAIL
    script.pass_(seconds=91)
    server.pass_(91)
    assert server.ask("example.org").startswith(b"TEMP ")  # an enforce policy was in force


@pytest.mark.parametrize(
    ("setting", "error", "reply"),
    [
        (OnDNSError.NOTFOUND, BOGUS, b"NOTFOUND "),
        (OnDNSError.TEMP, SERVFAIL, b"TEMP the MTA-STS record cannot be looked up"),
        (OnDNSError.CAREFUL, SERVFAIL, b"NOTFOUND "),
        (OnDNSError.CAREFUL, BOGUS, b"TEMP the MTA-STS record cannot be looked up"),
    ],
)
def test_a_dns_failure_without_a_policy_is_answered_as_set(
    serve: Serve, script: Script, setting: OnDNSError, error: DNSError, reply: bytes
) -> None:
    script.look = error
    assert serve(setting=setting).ask("example.org") == reply


def test_care_ends_after_a_day(serve: Serve, script: Script) -> None:
    script.look = BOGUS
    server = serve()
    for _ in range(23):
        assert server.ask("example.org").startswith(b"TEMP ")
        server.pass_(3600)
    server.pass_(3600)
    assert server.ask("example.org") == b"NOTFOUND "


def test_care_begins_anew_once_dns_has_answered(serve: Serve, script: Script) -> None:
    server = serve()
    for look in (BOGUS, MultipleRecordsError("two"), BOGUS):
        script.look = look
        reply = server.ask("example.org")
        server.pass_(20 * 3600)
    assert reply.startswith(b"TEMP ")


def test_a_failed_fetch_without_a_policy_is_not_found(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    script.fetch = REFUSED
    server = serve()
    assert server.ask("example.org") == b"NOTFOUND "
    assert PolicyRecord.objects.get(domain="example.org").backoff


def test_a_fetch_that_outlasts_the_deadline_is_not_found_and_goes_on(
    serve: Serve, script: Script
) -> None:
    script.publish(ENFORCE)
    gate = threading.Event()
    script.during_fetch = lambda: bool(gate.wait(10))
    server = serve(limits=Limits(cache=1000, per_address=0, deadline=0.2))
    assert server.ask("example.org") == b"NOTFOUND "
    assert server.ask("example.org") == b"NOTFOUND "
    assert server.server.status.forced() == {Forced.FETCH: 2}
    gate.set()
    server.wait_until(lambda: not server.server.answers.flights)
    assert server.ask("example.org") == SECURE
    assert len(script.fetches) == 1


def test_dns_that_outlasts_the_deadline_is_answered_as_set(serve: Serve, script: Script) -> None:
    gate = threading.Event()
    limits = Limits(cache=1000, per_address=0, deadline=0.2)
    script.during_look = lambda: bool(gate.wait(10))
    server = serve(limits=limits, setting=OnDNSError.TEMP)
    assert server.ask("example.org").startswith(b"TEMP ")
    assert server.server.status.forced() == {Forced.DNS: 1}
    gate.set()
    server.wait_until(lambda: not server.server.answers.flights)
    assert server.ask("example.org") == b"NOTFOUND "


def test_a_policy_in_the_database_is_answered_without_waiting_for_the_load(
    serve: Serve, script: Script
) -> None:
    PolicyRecord.objects.create(
        domain="example.org",
        valid_end=script.now().replace(year=2027),
        mode="enforce",
        mx=["mx.example.org"],
        max_age=86400,
        record_id="1",
        policy_text=ENFORCE,
    )
    script.look = SERVFAIL
    assert serve().ask("example.org") == SECURE
