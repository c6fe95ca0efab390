"""A lookup of one domain, as a job of the pool: the cache is asked, DNS and HTTPS with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from mtastsweb import requestid
from policies import cache, rows
from policies.alerts import Sighting
from policies.cache import Consulted
from policies.decide import NEEDS_FETCH, Store, decide
from policies.ledger import Entry, Ledger
from policies.models import PolicyRecord
from policies.mtasts import Domain, Mode
from policies.mtasts.turns import waiting
from policies.socketmap.server.database import ERRORS, Database
from policies.socketmap.server.excepted import Excepted
from policies.socketmap.server.held import Held, held
from policies.socketmap.server.pool import Busy, Job
from policies.socketmap.server.scribe import Scribe
from policies.world import Looked, World

if TYPE_CHECKING:
    from policies.decide import Fetched

log = logging.getLogger(__name__)


class Verdict(Protocol):
    """What a check for DANE came to.

    `override`: the reply in place of the policy, None where the policy stands. `ttl`: seconds
    for which that holds.
    """

    @property
    def override(self) -> bytes | None: ...
    @property
    def ttl(self) -> int: ...


class DANE(Protocol):
    """`policies.socketmap.dane.DaneCheck`, or one of a test's."""

    def check(self, name: Domain) -> Verdict:
        """Whether the enforce policy of `name` may be answered."""

    def listed(self) -> frozenset[str]:
        """Domains, as A-labels, that are left to DANE in any case."""


class Progress(Enum):
    """How far a lookup has come."""

    QUEUED = "queued"
    DNS = "dns"
    DATABASE = "database"
    FETCH = "fetch"
    """The TXT record is valid, and the policy host is being asked."""
    DANE = "dane"


class Trouble(Enum):
    """Why there is no answer, where it is not the domain's fault."""

    DATABASE = "database"
    BUSY = "busy"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Landed:
    """What a lookup came to.

    `consulted`: None where the database is away, and the policy in memory goes on. `verdict`: of
    DANE, where it was asked.
    """

    consulted: Consulted | None
    verdict: Verdict | None


class Lookup(Job):
    """One domain's.

    `reads_first`: the row is not in memory, and may hold a policy to be answered meanwhile.
    `knows_all_rows`: it has none, so the database is not needed for the answer. `enforces`: a
    valid policy in memory does, or an exception.
    `found` is told of a row, `landed` of the end, both in the pool's thread.
    """

    def __init__(
        self,
        name: Domain,
        zone: str,
        deadline: float,
        desk: Desk,
        *,
        reads_first: bool,
        knows_all_rows: bool,
        enforces: bool,
    ) -> None:
        super().__init__(zone, deadline)
        self.name = name
        self.progress = Progress.QUEUED
        self.found: Callable[[Held], None] = _nobody
        self.landed: Callable[[Landed | Trouble], None] = _nobody
        self._desk = desk
        self._reads_first = reads_first
        self._knows_all_rows = knows_all_rows
        self._enforces = enforces

    def run(self) -> None:
        with requestid.bound(requestid.new()):
            self._run()

    def _run(self) -> None:
        try:
            outcome: Landed | Trouble = self._look_up()
        except Busy:
            outcome = Trouble.BUSY
        except Exception:
            log.exception("lookup broke", extra={"domain": self.name.ascii})
            outcome = Trouble.BROKEN
        self.landed(outcome)

    def _look_up(self) -> Landed | Trouble:
        try:
            if self._reads_first:
                self._read()
            consulted = self._consult()
        except ERRORS as error:
            self._desk.database.note(error)
            if self._enforces:
                return Landed(None, self._check_dane())
            if not self._knows_all_rows:
                return Trouble.DATABASE
            consulted = self._consult_without_rows()
        policy = consulted.answer.policy
        is_secure = policy is not None and policy.mode is Mode.ENFORCE
        if not is_secure:
            now = self._desk.outside.now()
            is_secure = self._desk.exceptions.may_allow(self.name, policy, now)
        return Landed(consulted, self._check_dane() if is_secure else None)

    def _read(self) -> None:
        self.progress = Progress.DATABASE
        now = self._desk.outside.now()
        with self._desk.database.lent():
            row = PolicyRecord.objects.valid(now).filter(domain=self.name.unicode).first()
        if row is not None:
            self.found(held(row, now))

    def _consult(self) -> Consulted:
        if self._knows_all_rows and self._desk.database.is_away:
            return self._consult_without_rows()
        books = _Books(self, self._desk.database, self._desk.scribe)
        return cache.consult(self.name, self._world(), books)

    def _consult_without_rows(self) -> Consulted:
        """The answer for a domain that has no row, and will have none for now."""
        outside = self._desk.outside
        self.progress = Progress.DNS
        looked, fetched = outside.look(self.name), None
        answer = decide(self.name.ascii, None, looked.look, None, outside.now())
        if answer is NEEDS_FETCH:
            self.progress = Progress.FETCH
            fetched = outside.fetch(self.name)
            answer = decide(self.name.ascii, None, looked.look, fetched, outside.now())
        assert answer is not NEEDS_FETCH  # noqa: S101 - it has what it needs
        row, now = None, outside.now()
        if answer.store in {Store.POLICY, Store.BACKOFF}:
            row = _unsaved(self.name, now)
            rows.keep(row, answer, fetched, now)
        return Consulted(answer, row, looked.look, looked.ttl, fetched, is_stored=False)

    def _check_dane(self) -> Verdict | None:
        if self._desk.dane is None:
            return None
        self.progress = Progress.DANE
        return self._desk.dane.check(self.name)

    def _world(self) -> World:
        """The outside, where it shows how far the lookup has come."""
        outside = self._desk.outside

        def look(name: Domain) -> Looked:
            self.progress = Progress.DNS
            return outside.look(name)

        def fetch(name: Domain) -> Fetched:
            self.progress = Progress.FETCH
            return outside.fetch(name)

        def wait(seconds: float) -> None:
            self.progress = Progress.FETCH  # by another process
            with waiting():
                outside.wait(seconds)

        return World(look, fetch, outside.now, wait)


class _Books(Ledger):
    """The cache's rows for one lookup, which has a connection only while it needs one."""

    def __init__(self, lookup: Lookup, database: Database, scribe: Scribe) -> None:
        self._lookup = lookup
        self._database = database
        self._scribe = scribe

    def read(self, name: Domain) -> PolicyRecord | None:
        with self._at_database():
            return super().read(name)

    def claim(self, row: PolicyRecord, claim: str, now: datetime, span: timedelta) -> bool:
        with self._at_database():
            return super().claim(row, claim, now, span)

    def release(self, name: Domain, claim: str) -> None:
        with self._at_database():
            super().release(name, claim)

    def forget(self, row: PolicyRecord) -> None:
        with self._at_database():
            super().forget(row)

    def note(self, sighting: Sighting) -> None:
        with self._at_database():
            super().note(sighting)

    def keep(self, entry: Entry) -> None:
        self._lookup.progress = Progress.DATABASE
        self._scribe.write(entry)

    @contextmanager
    def _at_database(self) -> Iterator[None]:
        self._lookup.progress = Progress.DATABASE
        with self._database.lent():
            yield


@dataclass(frozen=True, slots=True)
class Desk:
    """What lookups work with."""

    database: Database
    scribe: Scribe
    outside: World
    exceptions: Excepted
    dane: DANE | None = None


def _nobody(told: object) -> None:
    """Nobody wants to know."""


def _unsaved(name: Domain, now: datetime) -> PolicyRecord:
    return PolicyRecord(domain=name.unicode, inserted=now, valid_end=now)
