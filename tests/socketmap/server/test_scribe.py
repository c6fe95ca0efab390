"""Many lookups write in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError

from policies import ledger
from policies.ledger import Entry
from policies.models import PolicyRecord
from policies.socketmap.server.database import Database
from policies.socketmap.server.scribe import Scribe
from tests.worlds import NOON


def entry(domain: str) -> Entry:
    return Entry(PolicyRecord(domain=domain, valid_end=NOON), "")


class Table:
    """Stands in for the database: notes what each transaction holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transactions: list[list[str]] = []
        self.refused: dict[str, DatabaseError] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.is_writing = threading.Event()
        monkeypatch.setattr(ledger, "write", self.write)

    def write(self, entries: Sequence[Entry]) -> None:
        self.is_writing.set()
        assert self.gate.wait(10)
        names = [each.row.domain for each in entries]
        for name in names:
            if name in self.refused:
                raise self.refused[name]
        self.transactions.append(names)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Table:
    return Table(monkeypatch)


def write(scribe: Scribe, names: Sequence[str], table: Table) -> dict[str, Exception | None]:
    """The first holds the pen until all others wait; what came of each."""

    def one(name: str) -> Exception | None:
        try:
            scribe.write(entry(name))
        except DatabaseError as error:
            return error
        return None

    table.gate.clear()
    with ThreadPoolExecutor(len(names)) as pool:
        first = pool.submit(one, names[0])
        assert table.is_writing.wait(10)
        others = [pool.submit(one, name) for name in names[1:]]
        while len(scribe._desk) < len(others):
            threading.Event().wait(0.001)
        table.gate.set()
        return dict(zip(names, [each.result(10) for each in [first, *others]], strict=True))


def test_who_comes_while_one_writes_goes_with_the_next(table: Table) -> None:
    names = [f"d{number}.example" for number in range(10)]
    assert not any(write(Scribe(Database(2)), names, table).values())
    assert table.transactions[0] == names[:1]
    assert sorted(table.transactions[1]) == sorted(names[1:])


def test_one_that_the_database_refuses_does_not_take_the_others_with_it(table: Table) -> None:
    names = [f"d{number}.example" for number in range(6)]
    table.refused["d3.example"] = IntegrityError("no")
    came_to = write(Scribe(Database(2)), names, table)
    assert [name for name, error in came_to.items() if error] == ["d3.example"]
    written = [name for transaction in table.transactions for name in transaction]
    assert sorted(written) == sorted(set(names) - {"d3.example"})


def test_without_a_database_each_is_told(table: Table) -> None:
    names = [f"d{number}.example" for number in range(4)]
    for name in names:
        table.refused[name] = OperationalError("away")
    came_to = write(Scribe(Database(2)), names, table)
    assert all(isinstance(error, OperationalError) for error in came_to.values())
