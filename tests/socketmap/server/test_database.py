"""Few connections for many threads, and a database that goes away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from policies.models import PolicyRecord
from policies.socketmap.server.answers import DATABASE_AWAY
from policies.socketmap.server.database import Database
from policies.socketmap.server.server import Limits
from tests.socketmap.server.running import Running
from tests.worlds import ENFORCE, Script

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"


@pytest.mark.django_db(transaction=True)
def test_many_threads_share_few_connections() -> None:
    database = Database(2)
    seen = set()

    def work(number: int) -> int:
        with database.lent():
            seen.add(id(connection.connection) if connection.connection else connection.alias)
            return PolicyRecord.objects.count() + number

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(work, range(100))) == list(range(100))
    database.close()
    assert len(seen) <= 3  # two, and the name where one was not opened yet


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_cannot_be_closed_is_lent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(1)

    def refuse(_wrapper: BaseDatabaseWrapper) -> None:
        raise InterfaceError("the connection is broken")

    with database.lent():
        PolicyRecord.objects.count()
        connection.errors_occurred = True
        monkeypatch.setattr(BaseDatabaseWrapper, "close", refuse)
        with pytest.raises(InterfaceError):
            database.give()
    database.note(OperationalError("away"))
    with pytest.raises(InterfaceError):
        database.take()
    monkeypatch.undo()
    with database.lent():
        assert PolicyRecord.objects.count() == 0
    database.close()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While it is set, no statement reaches the database."""
    gone = threading.Event()

    def refuse(execute: Callable[..., object], *arguments: object) -> object:
        if gone.is_set():
            raise OperationalError("the database is away")
        return execute(*arguments)

    original = BaseDatabaseWrapper.__init__

    def made(self: BaseDatabaseWrapper, *arguments: object, **options: object) -> None:
        original(self, *arguments, **options)
        self.execute_wrappers.append(refuse)

    monkeypatch.setattr(BaseDatabaseWrapper, "__init__", made)
    yield gone
    gone.clear()


def is_away(server: Running) -> bool:
    return server.server.status.is_database_away


def test_what_is_in_memory_goes_on_without_the_database(
    serve: Serve, script: Script, away: threading.Event
) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    server.ask("example.org")
    away.set()
    server.wait_until(lambda: is_away(server))
    for _ in range(3):
        server.pass_(3700)
        assert server.ask("example.org") == SECURE


def test_a_new_name_is_looked_up_where_all_rows_are_known(
    serve: Serve, script: Script, away: threading.Event
) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    away.set()
    server.wait_until(lambda: is_away(server))
    assert server.ask("new.example") == SECURE


def test_what_was_looked_up_meanwhile_is_stored_once_the_database_is_back(
    serve: Serve, script: Script, away: threading.Event
) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    away.set()
    server.wait_until(lambda: is_away(server))
    server.ask("new.example")
    away.clear()
    server.wait_until(lambda: not is_away(server))
    server.pass_(60)
    assert server.ask("new.example") == SECURE
    assert PolicyRecord.objects.get().domain == "new.example"


def test_a_new_name_is_deferred_where_not_all_rows_are_known(
    serve: Serve, script: Script, away: threading.Event
) -> None:
    script.publish(ENFORCE)
    for number in range(3):
        PolicyRecord.objects.create(domain=f"d{number}.example", valid_end=script.now())
    server = serve(limits=Limits(cache=2, per_address=0))
    server.ask("example.org")
    away.set()
    server.wait_until(lambda: is_away(server))
    assert server.ask("new.example") == DATABASE_AWAY
    assert "new.example" not in script.looks


def test_it_recovers_by_itself_and_writes_down_what_was_used(
    serve: Serve, script: Script, away: threading.Event
) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    server.ask("example.org")
    away.set()
    server.wait_until(lambda: is_away(server))
    script.pass_(hours=1)
    server.ask("example.org")
    away.clear()
    server.wait_until(lambda: not is_away(server))
    server.stop()
    assert PolicyRecord.objects.get().last_use >= script.now() - timedelta(minutes=1)


def test_it_is_logged_once_that_it_is_away_and_once_that_it_is_back(
    serve: Serve, script: Script, away: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve().loaded()
    away.set()
    server.wait_until(lambda: is_away(server))
    for number in range(20):
        server.ask(f"d{number}.example")
    away.clear()
    server.wait_until(lambda: not is_away(server))
    server.stop()
    messages = [record.message for record in caplog.records if "database" in record.message]
    assert messages == ["the database does not answer", "the database answers again"]
