"""Where the cache reads and writes the row of a domain, one lookup at a time.

`policies.cache` says what becomes of a row; how that reaches the database is here, so that a
server with many lookups at once can write many in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q

from policies import alerts, history, holders, rows
from policies.alerts import Sighting
from policies.inserting import insert
from policies.models import Fetch, PolicyRecord
from policies.mtasts import Domain

COLUMNS = (*rows.STORED, "claim", "claimed_until")
"""What a lookup may write into a row."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a fetch came to: the row as it is to be, written only where `claim` still holds.

    `version`: one that is new to the history. `fetch`: its line in the log. `sighting`: what is
    worth an alert.
    """

    row: PolicyRecord
    claim: str
    version: history.Found | None = None
    fetch: Fetch | None = None
    sighting: Sighting | None = None


class Ledger:
    """Reads and writes at once, in the thread that asks. All may raise DatabaseError."""

    def read(self, name: Domain) -> PolicyRecord | None:
        """The row of a domain, expired or not."""
        # Most lookups are of names without a row, and Django takes ten times as long to make
        # rows of nothing as the database takes to say that there is none.
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM policies_policyrecord WHERE domain = %s", [name.unicode])
            if cursor.fetchone() is None:
                return None
        return PolicyRecord.objects.filter(domain=name.unicode).first()

    def claim(self, row: PolicyRecord, claim: str, now: datetime, span: timedelta) -> bool:
        """Whether the fetch of this row is ours: nobody else's, here or on another machine."""
        free = Q(claimed_until=None) | Q(claimed_until__lte=now)
        mine = PolicyRecord.objects.filter(free, pk=row.pk)
        return mine.update(claim=claim, claimed_until=now + span) == 1

    def take_over(self, row: PolicyRecord, claim: str, now: datetime, span: timedelta) -> bool:
        """Whether the fetch of this row is ours now that was the refresh's.

        The refresh may be at it still: what it fetched counts no more, for its claim is lost.
        """
        theirs = PolicyRecord.objects.filter(pk=row.pk, claim__endswith=holders.REFRESH)
        return theirs.update(claim=claim, claimed_until=now + span) == 1

    def release(self, name: Domain, claim: str) -> None:
        """End a claim under which nothing was fetched."""
        PolicyRecord.objects.filter(domain=name.unicode, claim=claim).update(
            claim="", claimed_until=None
        )

    def forget(self, row: PolicyRecord) -> None:
        """Delete a back-off whose record is gone."""
        with transaction.atomic():
            if PolicyRecord.objects.filter(pk=row.pk, backoff=True).delete()[0]:
                history.end([row], row.last_update)

    def note(self, sighting: Sighting) -> None:
        """Write down what a look at DNS showed, where nothing was fetched."""
        with transaction.atomic():
            alerts.note([sighting])

    def keep(self, entry: Entry) -> None:
        """Write what a fetch came to."""
        write([entry])


def write(entries: Sequence[Entry]) -> None:
    """Write what fetches came to, of each domain at most one, in one transaction.

    A new row may have been made by another machine meanwhile: both have fetched the same, and the
    later one stays, unless an operator wrote it. An existing row is written only while its claim
    holds; an edit, a deletion or a refetch ends it, and what was fetched before counts no more.
    """
    # In one order everywhere, or two who write many rows wait for each other.
    entries = sorted(entries, key=lambda entry: entry.row.domain)
    with transaction.atomic():
        lost = _write_rows(entries)
        history.save(
            [
                entry.version
                for entry in entries
                if entry.version is not None and entry.row.domain not in lost
            ]
        )
        insert([entry.fetch for entry in entries if entry.fetch is not None])
        alerts.note(
            [
                entry.sighting
                for entry in entries
                if entry.sighting is not None and entry.row.domain not in lost
            ]
        )


def _write_rows(entries: Sequence[Entry]) -> set[str]:
    """Returns the domains whose row was no longer ours to write."""
    lost: set[str] = set()
    new: list[PolicyRecord] = []
    for entry in entries:
        row = entry.row
        row.claim, row.claimed_until = "", None
        if row.pk is None:
            new.append(row)
            continue
        values = {column: getattr(row, column) for column in COLUMNS}
        if not PolicyRecord.objects.filter(pk=row.pk, claim=entry.claim).update(**values):
            lost.add(row.domain)
    PolicyRecord.objects.write_new(new, COLUMNS)
    return lost
