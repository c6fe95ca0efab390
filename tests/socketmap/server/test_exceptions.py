"""Exceptions in the server: counted within a second, over by themselves, and DANE before them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from mtastsweb.environment import OnDNSError
from policies import exceptions
from policies.models import Outcome, PolicyException, PolicyRecord
from policies.mtasts import Domain
from policies.mtasts.errors import DNSError, NoRecordError
from policies.socketmap.exceptions import Action, Rule
from policies.socketmap.exceptions.checking import ALL
from tests.socketmap.exceptions.making import by_mx, everything, pin, require, rule, suffix
from tests.socketmap.server.running import Running
from tests.worlds import ENFORCE, NOON, TESTING, Script

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"
HELD_TO = b"OK secure match=.example.org servername=hostname"
PINNED = b"OK secure match=mx.pinned.test servername=hostname"
NOTHING = b"NOTFOUND "
OTHER = ENFORCE.replace("mx.example.org", "mx.pinned.test")
WITHIN = 1.0
"""Seconds."""

FAILS = DNSError("no answer", reason="servfail")


def add(made: Rule) -> PolicyException:
    return exceptions.add(made, ALL, None, NOON)


def becomes(server: Running, reply: bytes, key: str = "example.org", name: str = "postfix") -> bool:
    """Whether `reply` is what is answered within a second from now on."""
    give_up = time.monotonic() + WITHIN
    while time.monotonic() < give_up:
        if server.ask(key, name) == reply:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def server(serve: Serve, script: Script) -> Running:
    """One that answers an enforce policy from memory."""
    script.publish(ENFORCE)
    running = serve().loaded()
    assert running.ask("example.org") == SECURE
    return running


@pytest.fixture
def testing(serve: Serve, script: Script) -> Running:
    """One that answers a policy of mode testing from memory."""
    script.publish(TESTING)
    running = serve().loaded()
    assert running.ask("example.org") == NOTHING
    return running


@pytest.mark.parametrize(
    "made", [rule(), suffix(".org"), by_mx("*.example.org"), everything(), pin(OTHER)],
    ids=lambda made: f"{made.action} {made.shown_target}",
)  # fmt: skip
def test_it_counts_within_a_second_and_ends_within_a_second(made: Rule, server: Running) -> None:
    row = add(made)
    assert becomes(server, PINNED if made.action is Action.PIN else NOTHING)
    exceptions.end(row, None, NOON)
    assert becomes(server, SECURE)


@pytest.mark.parametrize("made", [rule(), suffix(".org"), by_mx("*.example.org"), everything(1)],
                         ids=lambda made: str(made.scope))  # fmt: skip
def test_it_begins_and_ends_by_itself(made: Rule, server: Running, script: Script) -> None:
    assert made.until
    hour = timedelta(hours=1)
    coming = Rule(made.scope, made.target, made.action, NOON + hour, NOON + 2 * hour, "r", "o")
    add(coming)
    time.sleep(0.7)  # two polls: nothing tells that something does not happen
    assert server.ask("example.org") == SECURE
    script.pass_(minutes=60)
    assert becomes(server, NOTHING)
    script.pass_(minutes=60)
    assert becomes(server, SECURE)


def test_plain_sql_and_the_orm_count(server: Running) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO policies_policyexception (scope, target, action, reason, owner, since)"
            " VALUES ('domain', 'example.org', 'skip', 'r', 'o', '2026-01-01 00:00:00+00:00')"
        )
    assert becomes(server, NOTHING)
    PolicyException.objects.update(action="pin", policy_text=OTHER)
    assert becomes(server, PINNED)
    PolicyException.objects.all().delete()
    assert becomes(server, SECURE)


def test_those_that_there_are_count_from_the_first_answer_on(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    add(rule())
    assert serve().ask("example.org") == NOTHING


def test_policies_in_memory_stay_there(server: Running, script: Script) -> None:
    add(everything())
    assert becomes(server, NOTHING)
    assert server.server.memory.is_complete
    assert server.server.memory.policies == 1
    assert len(script.looks) == 1


def test_a_policy_that_tests_is_enforced(testing: Running) -> None:
    add(rule(Action.ENFORCE))
    assert becomes(testing, HELD_TO)
    reported = testing.ask("example.org", "postfix-tlsrpt")
    assert b" policy_type=sts policy_domain=example.org mx_host_pattern=*.example.org" in reported


def test_a_pin_is_told_with_patterns_and_without_lines(server: Running) -> None:
    add(pin(OTHER))
    attributes = b" policy_type=sts policy_domain=example.org mx_host_pattern=mx.pinned.test"
    assert becomes(server, PINNED + attributes, name="postfix-tlsrpt")


def test_a_requirement_is_for_a_domain_without_a_policy(serve: Serve, script: Script) -> None:
    server = serve().loaded()
    assert server.ask("example.org") == NOTHING
    add(require())
    assert becomes(server, b"OK encrypt")
    script.publish(ENFORCE)
    server.pass_(3700)
    assert server.ask("example.org") == SECURE, "a policy that appears is not weakened"


def test_a_requirement_holds_while_dns_fails(serve: Serve, script: Script) -> None:
    script.look = FAILS
    add(require("mx.example.org"))
    server = serve(setting=OnDNSError.TEMP).loaded()
    assert server.ask("example.org") == SECURE
    assert server.ask("example.net").startswith(b"TEMP ")


def test_what_is_skipped_waits_for_nobody(serve: Serve, script: Script) -> None:
    script.publish(ENFORCE)
    gate = threading.Event()
    script.during_look = lambda: bool(gate.wait(10))
    add(rule())
    server = serve().loaded()
    begun = time.monotonic()
    assert server.ask("example.org") == NOTHING
    assert time.monotonic() - begun < 5, "the lookup takes ten seconds"
    gate.set()
    server.wait_until(lambda: not server.server.answers.flights)
    assert script.fetches == ["example.org"], "the cache is kept up behind"


def test_whoever_waits_already_is_answered_when_it_is_skipped(serve: Serve, script: Script) -> None:
    gate = threading.Event()
    script.during_look = lambda: bool(gate.wait(10))
    server = serve().loaded()
    given: list[bytes] = []
    asking = threading.Thread(target=lambda: given.append(server.ask("example.org")))
    asking.start()
    server.wait_until(lambda: bool(server.server.answers.flights))
    add(rule())
    asking.join(2)
    gate.set()
    assert given == [NOTHING]


def test_the_most_specific_counts(server: Running) -> None:
    add(everything())
    assert becomes(server, NOTHING)
    add(pin(OTHER))
    assert becomes(server, PINNED)


@pytest.mark.parametrize("key", ["Example.ORG", "example.org.", "example.org:25"])
def test_each_spelling_of_a_domain_is_answered_alike(key: str, server: Running) -> None:
    assert server.ask(key) == SECURE
    add(rule())
    assert becomes(server, NOTHING, key)


def test_uses_are_counted_and_outcomes_stay_true(server: Running) -> None:
    row = add(rule())
    assert becomes(server, NOTHING)
    with server.client() as client:
        for _ in range(20):
            assert client.ask("example.org") == NOTHING
    server.stop()
    row.refresh_from_db()
    assert row.uses >= 21
    assert row.last_use == NOON
    assert Outcome.objects.get().kind == Outcome.Kind.DOMAIN
    assert Outcome.objects.get().count >= row.uses
    record = PolicyRecord.objects.get()
    assert (record.last_use, record.outcome_type) == (NOON, "sts")


def test_without_a_database_they_go_on(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from policies.socketmap.server import watcher

    add(pin(OTHER))
    assert becomes(server, PINNED)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(exceptions, "current", away)
    monkeypatch.setattr(watcher.Watch, "poll", away)
    time.sleep(0.7)
    assert server.ask("example.org") == PINNED
    monkeypatch.undo()


def test_read_later_they_count_later(
    serve: Serve, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start the database does not answer, and then it does."""
    from django.db import OperationalError

    script.publish(ENFORCE)
    add(rule())

    def away(*_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(exceptions, "current", away)
    server = serve()
    assert server.ask("example.org").startswith(b"TEMP ")
    monkeypatch.undo()
    assert becomes(server, NOTHING)


@dataclass(frozen=True)
class Said:
    override: bytes | None
    ttl: int = 300


class Dane:
    """DANE as the test has it; `asked`: for which domains."""

    def __init__(self, override: bytes | None, *listed: str) -> None:
        self._override, self._listed = override, frozenset(listed)
        self.asked: list[str] = []

    def check(self, name: Domain) -> Said:
        self.asked.append(name.ascii)
        return Said(self._override)

    def listed(self) -> frozenset[str]:
        return self._listed


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (TESTING, rule(Action.ENFORCE)),
        (TESTING, suffix(".org", Action.ENFORCE)),
        (TESTING, by_mx("*.example.org", Action.ENFORCE)),
        (ENFORCE, pin(OTHER)),
        (TESTING, pin(OTHER)),
        (None, pin(OTHER)),
        (None, require()),
        (None, require(target=".org", scope=suffix().scope)),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_asked_before", [True, False])
def test_dane_has_precedence(
    text: str | None, made: Rule, is_asked_before: bool, serve: Serve, script: Script
) -> None:
    if text:
        script.publish(text)
    dane: Any = Dane(b"OK dane-only")
    server = serve(dane=dane).loaded()
    if is_asked_before:
        first = server.ask("example.org")
        assert first == (b"OK dane-only" if text == ENFORCE else NOTHING)
        assert bool(dane.asked) is (text == ENFORCE)
    add(made)
    if is_asked_before:
        assert becomes(server, b"OK dane-only")
    else:
        server.wait_until(lambda: bool(server.server.answers._exceptions._rules))
        assert server.ask("example.org") == b"OK dane-only"
    assert "example.org" in dane.asked


@pytest.mark.parametrize("made", [pin(OTHER), require(), rule(Action.ENFORCE)], ids=str)
def test_without_dane_an_exception_is_answered_after_asking(
    made: Rule, serve: Serve, script: Script
) -> None:
    script.publish(TESTING)
    dane: Any = Dane(None)
    add(made)
    server = serve(dane=dane).loaded()
    assert server.ask("example.org").startswith(b"OK ")
    assert dane.asked == ["example.org"]


def test_the_list_of_danes_domains_always_wins(serve: Serve) -> None:
    add(pin(OTHER))
    add(require(target="example.net"))
    server = serve(dane=Dane(None, "example.org", "example.net")).loaded()
    assert server.ask("example.org") == NOTHING
    assert server.ask("example.net") == NOTHING


def test_names_without_a_policy_are_answered_under_a_suffix(serve: Serve, script: Script) -> None:
    script.look = NoRecordError("no record")
    add(require(target=".example", scope=suffix().scope))
    server = serve().loaded()
    assert server.ask("a.b.example") == b"OK encrypt"
    assert server.ask("example") == NOTHING
    assert server.ask(".b.example") == NOTHING, "what Postfix tries after a domain is no domain"


def test_a_thousand_cost_a_lookup_next_to_nothing(serve: Serve, script: Script) -> None:
    User.objects.create_user("op")
    PolicyException.objects.bulk_create(
        PolicyException(
            scope=scope, target=target.format(at), action="skip", reason="r", owner="o",
            since=NOON, until=NOON + timedelta(days=1),
        )
        for at in range(334)
        for scope, target in (
            ("domain", "d{}.test"), ("suffix", ".s{}.test"), ("mx", "*.m{}.test"),
        )
    )  # fmt: skip
    script.publish(ENFORCE)
    server = serve().loaded()
    server.wait_until(lambda: len(server.server.answers._exceptions._rules.all) == 1002)
    known = server.call(lambda: server.server.memory.get("example.org"))
    assert known is None
    assert server.ask("example.org") == SECURE

    def timed() -> float:
        known = server.server.memory.get("example.org")
        assert known is not None
        begun = time.thread_time()  # whatever else the machine does
        for _ in range(1000):
            server.server.answers._payload(known, tlsrpt=False)
        return (time.thread_time() - begun) / 1000

    assert server.call(timed) < 0.001
