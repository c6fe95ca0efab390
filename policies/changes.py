"""What has changed since: for whoever keeps policies in memory.

Triggers of the database note each change of a policy in `Change`, whoever makes it: the ORM, the
admin, `queryset.update`, psql. A `Watch` reads what is new there, in every process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Max, Q
from django.utils import timezone

from policies import forgetting
from policies.models import Change

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

KEPT = timedelta(hours=1)
"""How long a change can be read. Who has not read for so long knows nothing for sure."""

EVERYTHING = ""
"""In place of a domain: all of them may have changed."""

EXCEPTIONS = "*"
"""In place of a domain: an exception was made, changed or ended."""

WATCHED = (
    "domain", "valid_end", "backoff", "record_id", "mode", "mx", "max_age", "policy_text",
    "edited", "held_mode", "held_end",
)  # fmt: skip
"""The columns that decide what is answered. Uses, outcomes, claims and plans are no change."""

EXCEPTION_WATCHED = (
    "scope", "target", "action", "policy_text", "level", "match", "reason", "owner", "since",
    "until", "ended",
)  # fmt: skip
"""The same of exceptions. That one was used is no change."""

# So far behind the newest change may one be committed that a watch can still see at its start.
_LOOKED_BACK = 1000
_TABLE = "policies_policyrecord"
_EXCEPTION_TABLE = "policies_policyexception"


@dataclass(frozen=True, slots=True)
class _Gap:
    """Numbers that were given out but not seen. On PostgreSQL a transaction may end after one
    that began later, so they can still turn up; those of one that was undone never do."""

    first: int
    last: int
    since: datetime


class Watch:
    """Reads changes as they come.

    To be used from one thread, on a connection that writes nothing: SQLite tells what others have
    written, and not the connection's own.

    `now`: the clock by which unseen numbers are given up.
    """

    def __init__(self, now: Callable[[], datetime] = timezone.now) -> None:
        self._now = now
        self._gaps: list[_Gap] = []
        self._last = 0
        self._version: tuple[int, int] | None = None
        self._read: datetime | None = None

    def poll(self) -> frozenset[str]:
        """The domains, as rows name them, that changed since the last call.

        The first call returns none; the first after a pause that was too long, EVERYTHING alone.
        Raises DatabaseError; the next call then takes up where the last one ended.
        """
        now = self._now()
        is_first, was_away = self._read is None, self._read and now - self._read > KEPT / 2
        if is_first or was_away:
            self._begin(now)
        found = frozenset() if self._is_quiet() else self._new(now)
        self._read = now
        if is_first:
            return frozenset()
        return frozenset({EVERYTHING}) if was_away else found

    def _begin(self, now: datetime) -> None:
        newest = Change.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
        self._last, self._gaps, self._version = max(0, newest - _LOOKED_BACK), [], None

    def _is_quiet(self) -> bool:
        """Whether the database can tell at no cost that nobody has written."""
        if connection.vendor != "sqlite":
            return False
        with connection.cursor() as cursor:
            version = int(cursor.execute("PRAGMA data_version").fetchone()[0])
        # A new connection counts anew, from the same number perhaps.
        mark = (id(connection.connection), version)
        quiet, self._version = mark == self._version, mark
        return quiet

    def _new(self, now: datetime) -> frozenset[str]:
        self._gaps = [gap for gap in self._gaps if now - gap.since < KEPT]
        wanted = Q(seq__gt=self._last)
        for gap in self._gaps:
            wanted |= Q(seq__range=(gap.first, gap.last))
        found = dict(Change.objects.filter(wanted).values_list("seq", "domain"))
        self._note(sorted(found), now)
        return frozenset(found.values())

    def _note(self, seqs: Iterable[int], now: datetime) -> None:
        """Keep what is missing between the numbers seen."""
        gaps: list[_Gap] = [*self._gaps]
        for seq in seqs:
            if seq > self._last:
                if seq > self._last + 1:
                    gaps.append(_Gap(self._last + 1, seq - 1, now))
                self._last = seq
                continue
            gaps = [part for gap in gaps for part in _without(gap, seq)]
        self._gaps = gaps


def _without(gap: _Gap, seq: int) -> Iterable[_Gap]:
    if not gap.first <= seq <= gap.last:
        yield gap
        return
    if gap.first < seq:
        yield _Gap(gap.first, seq - 1, gap.since)
    if seq < gap.last:
        yield _Gap(seq + 1, gap.last, gap.since)


def newest() -> int:
    """The number of the newest change; 0 for none."""
    return int(Change.objects.aggregate(seq=Max("seq"))["seq"] or 0)


def count_since(seq: int) -> int:
    """How many changes of policies came after that one; counted up to a thousand."""
    return Change.objects.filter(seq__gt=seq).exclude(domain=EXCEPTIONS)[:1000].count()


def prune(now: datetime) -> None:
    """Forget what everybody has read."""
    forgetting.forget(Change.objects.filter(at__lt=now - KEPT))


def create_triggers(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """For migrations. SQLite loses its triggers whenever a migration remakes the table, so such a
    migration has to end with this; tests/test_changes.py tells when one does not."""
    drop_triggers(schema_editor)
    statements = _POSTGRESQL if schema_editor.connection.vendor == "postgresql" else _SQLITE
    for statement in statements:
        schema_editor.execute(statement)


def drop_triggers(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """For migrations that are undone."""
    postgresql = schema_editor.connection.vendor == "postgresql"
    for name in _TRIGGERS if postgresql else _TRIGGERS[:-1]:
        on_table = f" ON {_TABLE}" if postgresql else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")
    if postgresql:
        schema_editor.execute("DROP FUNCTION IF EXISTS policies_note_change()")


def create_exception_triggers(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The same for the table of exceptions."""
    drop_exception_triggers(schema_editor)
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in _EXCEPTION_POSTGRESQL if is_postgresql else _EXCEPTION_SQLITE:
        schema_editor.execute(statement)


def drop_exception_triggers(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """For migrations that are undone."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS policies_exception ON {_EXCEPTION_TABLE}")
        schema_editor.execute(
            f"DROP TRIGGER IF EXISTS policies_exception_updated ON {_EXCEPTION_TABLE}"
        )
        schema_editor.execute("DROP FUNCTION IF EXISTS policies_note_exception()")
        return
    for name in ("inserted", "deleted", "updated"):
        schema_editor.execute(f"DROP TRIGGER IF EXISTS policies_exception_{name}")


def _differs(operator: str, columns: Iterable[str] = WATCHED) -> str:
    # "match" is a word of SQL.
    return " OR ".join(f'OLD."{column}" {operator} NEW."{column}"' for column in columns)


_TRIGGERS = (
    "policies_change_inserted",
    "policies_change_deleted",
    "policies_change_updated",
    "policies_change_truncated",
)

_SQLITE = (
    f"""CREATE TRIGGER policies_change_inserted AFTER INSERT ON {_TABLE} BEGIN
        INSERT INTO policies_change (domain) VALUES (NEW.domain);
    END""",  # noqa: S608 - names of ours
    f"""CREATE TRIGGER policies_change_deleted AFTER DELETE ON {_TABLE} BEGIN
        INSERT INTO policies_change (domain) VALUES (OLD.domain);
    END""",  # noqa: S608 - names of ours
    f"""CREATE TRIGGER policies_change_updated AFTER UPDATE ON {_TABLE}
    WHEN {_differs("IS NOT")} BEGIN
        INSERT INTO policies_change (domain)
        SELECT OLD.domain UNION SELECT NEW.domain;
    END""",
)

_POSTGRESQL = (
    """CREATE FUNCTION policies_note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            INSERT INTO policies_change (domain) VALUES ('');
        ELSIF TG_OP = 'INSERT' THEN
            INSERT INTO policies_change (domain) VALUES (NEW.domain);
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO policies_change (domain) VALUES (OLD.domain);
        ELSE
            INSERT INTO policies_change (domain) SELECT OLD.domain UNION SELECT NEW.domain;
        END IF;
        RETURN NULL;
    END $$""",
    f"""CREATE TRIGGER policies_change_inserted AFTER INSERT ON {_TABLE}
    FOR EACH ROW EXECUTE FUNCTION policies_note_change()""",
    f"""CREATE TRIGGER policies_change_deleted AFTER DELETE ON {_TABLE}
    FOR EACH ROW EXECUTE FUNCTION policies_note_change()""",
    f"""CREATE TRIGGER policies_change_updated AFTER UPDATE ON {_TABLE}
    FOR EACH ROW WHEN ({_differs("IS DISTINCT FROM")})
    EXECUTE FUNCTION policies_note_change()""",
    f"""CREATE TRIGGER policies_change_truncated AFTER TRUNCATE ON {_TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION policies_note_change()""",
)

_EXCEPTION_SQLITE = tuple(
    f"""CREATE TRIGGER policies_exception_{name} AFTER {event} ON {_EXCEPTION_TABLE} {when} BEGIN
        INSERT INTO policies_change (domain) VALUES ('{EXCEPTIONS}');
    END"""  # noqa: S608 - names of ours
    for name, event, when in (
        ("inserted", "INSERT", ""),
        ("deleted", "DELETE", ""),
        ("updated", "UPDATE", f"WHEN {_differs('IS NOT', EXCEPTION_WATCHED)}"),
    )
)

# Once for each statement where one will do: which rows they were does not matter.
_EXCEPTION_POSTGRESQL = (
    f"""CREATE FUNCTION policies_note_exception() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO policies_change (domain) VALUES ('{EXCEPTIONS}');
        RETURN NULL;
    END $$""",  # noqa: S608 - names of ours
    f"""CREATE TRIGGER policies_exception AFTER INSERT OR DELETE OR TRUNCATE ON {_EXCEPTION_TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION policies_note_exception()""",
    f"""CREATE TRIGGER policies_exception_updated AFTER UPDATE ON {_EXCEPTION_TABLE}
    FOR EACH ROW WHEN ({_differs("IS DISTINCT FROM", EXCEPTION_WATCHED)})
    EXECUTE FUNCTION policies_note_exception()""",
)
