"""What others write is answered within a second, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from policies import cache
from policies.models import PolicyRecord
from policies.mtasts.errors import DNSError
from tests.socketmap.server.running import Running
from tests.worlds import ENFORCE, NOON, TESTING, Script

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"
OTHER = b"OK secure match=mx.example.net servername=hostname"
WITHIN = 1.0
"""Seconds."""


def becomes(server: Running, reply: bytes) -> bool:
    """Whether `reply` is what is answered within a second from now on."""
    give_up = time.monotonic() + WITHIN
    while time.monotonic() < give_up:
        if server.ask("example.org") == reply:
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


def test_an_edit_is_answered(server: Running) -> None:
    PolicyRecord.objects.update(mx=["mx.example.net"], edited=NOON)
    assert becomes(server, OTHER)
    assert server.ask("example.org", "postfix-tlsrpt") == OTHER  # what is edited is not reported


def test_plain_sql_is_answered(server: Running) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE policies_policyrecord SET mode = 'testing'")
    assert becomes(server, b"NOTFOUND ")


def test_a_refetch_is_answered(server: Running, script: Script) -> None:
    script.publish(ENFORCE.replace("mx.example.org", "mx.example.net"), record_id="2")
    cache.refetch("example.org", outside=script.world)
    assert becomes(server, OTHER)


def test_a_deletion_is_answered_by_a_new_lookup(server: Running, script: Script) -> None:
    script.publish(TESTING, record_id="2")
    cache.delete(["example.org"])
    assert becomes(server, b"NOTFOUND ")
    assert len(script.fetches) == 2


def test_a_validity_that_is_cut_short_is_answered(server: Running, script: Script) -> None:
    script.look = DNSError("no answer", reason="servfail")
    PolicyRecord.objects.update(valid_end=script.now() - timedelta(days=40))
    assert becomes(server, b"NOTFOUND ")


def test_an_edit_is_answered_while_dns_hangs(server: Running, script: Script) -> None:
    gate = threading.Event()
    script.during_look = lambda: bool(gate.wait(10))
    PolicyRecord.objects.update(mx=["mx.example.net"], edited=NOON)
    seen = becomes(server, OTHER)
    gate.set()
    assert seen


def test_a_row_that_others_make_is_answered_while_dns_fails(serve: Serve, script: Script) -> None:
    script.look = DNSError("no answer", reason="servfail")
    server = serve().loaded()
    assert server.ask("example.org") == b"NOTFOUND "
    PolicyRecord.objects.create(
        domain="example.org",
        valid_end=script.now() + timedelta(days=1),
        mode="enforce",
        mx=["mx.example.org"],
        max_age=86400,
        record_id="1",
        policy_text=ENFORCE,
    )
    assert becomes(server, SECURE)


def test_the_servers_own_writes_cause_no_further_lookups(server: Running, script: Script) -> None:
    before = len(script.looks), len(script.fetches)
    time.sleep(0.7)  # two polls: nothing tells that something does not happen
    for _ in range(10):
        server.ask("example.org")
    assert (len(script.looks), len(script.fetches)) == before


def test_an_edit_that_a_lookup_overtakes_counts(server: Running, script: Script) -> None:
    """The lookup reads the row, then the operator edits it, then the lookup ends."""
    script.publish(ENFORCE.replace("mx.example.org", "late.example"), record_id="2")
    gate = threading.Event()
    script.during_fetch = lambda: bool(gate.wait(10))
    server.pass_(3700)
    assert server.ask("example.org") == SECURE
    PolicyRecord.objects.update(
        mx=["mx.example.net"], edited=NOON, record_id="2", claim="", claimed_until=None
    )
    assert becomes(server, OTHER)
    gate.set()
    server.wait_until(lambda: not server.server.answers.flights)
    assert server.ask("example.org") == OTHER
