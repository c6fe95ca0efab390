"""Policy history: each text and record id under which a domain's policy was fetched.

A version is written only where something changed, so that a refresh that finds what is known
costs nothing here, however many policies there are. What the row is the measure of stays there: a
version without an end is in force for as long as its row holds it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from policies.decide import Answer, Store
from policies.inserting import insert
from policies.models import Fetch, PolicyRecord, PolicyVersion, Summary
from policies.mtasts.errors import MTASTSError

if TYPE_CHECKING:
    from policies.decide import Fetched

GAP = timedelta(days=1)
"""What is found again as it was within so long of its end has not ended: a policy that lives for
an hour expires between any two lookups."""

KEPT = timedelta(days=400)
"""How long a version is kept after its end, as alerts are."""

WALKED, IDLY = 2_000, 100
"""Versions that one tick looks at in search of old ones, and while there are none among them."""

WALK = "history-walk"
"""The `Summary` that says how far the walk has come."""

BATCH = 500


@dataclass(frozen=True, slots=True)
class Found:
    """A version that a fetch found, not saved. `ended`: when what the row held before was in force
    no longer; None where it was until now."""

    version: PolicyVersion
    ended: datetime | None = None


def version(
    row: PolicyRecord | None,
    domain: str,
    answer: Answer,
    fetched: Fetched | None,
    source: Fetch.Source,
    now: datetime,
) -> Found | None:
    """The version that this fetch found; None where it is the one that the row has.

    To be asked before the row is made to say what was fetched.
    """
    if answer.store is not Store.POLICY or fetched is None or isinstance(fetched, MTASTSError):
        return None
    ended = _ended(row, now) if row is not None else None
    is_known = (
        row is not None
        and ended is None
        and (row.policy_text, row.record_id) == (fetched.text, answer.record_id)
    )
    if is_known:
        return None
    found = PolicyVersion(
        domain=domain,
        record_id=answer.record_id,
        policy_text=fetched.text,
        digest=hashlib.sha256(fetched.text.encode()).hexdigest(),
        mode=str(fetched.policy.mode),
        first_seen=now,
        found_by=source,
    )
    return Found(found, ended)


def _ended(row: PolicyRecord, now: datetime) -> datetime | None:
    """Since when what was fetched last is in force no longer; None where it is."""
    if row.backoff:
        return min(row.held_end or row.inserted, now)  # an operator may have ended it early
    end = row.valid_end if row.edited is None else min(row.valid_end, row.edited)
    return end if end <= now else None


def save(found: Sequence[Found]) -> None:
    """Write versions that were found; those before them end. To be called in a transaction.

    What is found again as it was (after a back-off or an edit) is no new version.
    """
    if not found:
        return
    current = _current({each.version.domain for each in found})
    new = [each for each in found if not _goes_on(each, current.get(each.version.domain))]
    for each in new:
        if each.version.domain in current:
            _end(each)
    insert([each.version for each in new])


def _goes_on(found: Found, current: tuple[str, str] | None) -> bool:
    if current != _told(found.version):
        return False
    return found.ended is None or found.version.first_seen - found.ended <= GAP


def _current(domains: set[str]) -> dict[str, tuple[str, str]]:
    """What tells the current version of each domain that has one from others."""
    marks = ", ".join(["%s"] * len(domains))
    with connection.cursor() as cursor:
        # Each first fetch of a policy asks this, and Django takes ten times as long to put it.
        cursor.execute(
            "SELECT domain, digest, record_id FROM policies_policyversion"  # noqa: S608 - no values
            f" WHERE last_seen IS NULL AND domain IN ({marks})",
            list(domains),
        )
        return {domain: (digest, record_id) for domain, digest, record_id in cursor.fetchall()}


def _told(version: PolicyVersion) -> tuple[str, str]:
    return version.digest, version.record_id


def _end(new: Found) -> None:
    """The version before a new one ends; of those before it, as many stay as the settings say."""
    first_seen = new.version.first_seen
    past = PolicyVersion.objects.filter(domain=new.version.domain)
    for each in past.filter(last_seen=None):
        # What was stored without a fetch, by an import or an edit, is in no version.
        each.last_seen = max(each.first_seen, new.ended or first_seen)
        each.save(update_fields=["last_seen"])
    kept = settings.MTASTS.history_versions - 1
    past.filter(pk__in=list(past.values_list("pk", flat=True)[kept:])).delete()


def end(rows: Iterable[PolicyRecord], now: datetime) -> None:
    """These rows are deleted, and their policies are in force no longer."""
    ends: defaultdict[datetime, list[str]] = defaultdict(list)
    for row in rows:
        ends[_ended(row, now) or now].append(row.domain)
    for at, domains in sorted(ends.items()):
        for start in range(0, len(domains), BATCH):
            PolicyVersion.objects.filter(
                domain__in=domains[start : start + BATCH], last_seen=None
            ).update(last_seen=at)


def forget(domains: Sequence[str]) -> None:
    """Their policies have outlived themselves, and so has what they were before."""
    PolicyVersion.objects.filter(domain__in=domains).delete()


def tidy(now: datetime, count: int = WALKED) -> None:
    """Look at the next so many versions: forget those that ended long ago.

    Those whose row went without a word, by psql for example, end here.
    """
    mark, _ = Summary.objects.get_or_create(name=WALK, defaults={"at": now})
    after = int(mark.counts.get("after", 0))
    pace = count if mark.counts.get("found", 1) else min(count, IDLY)
    keys = PolicyVersion.objects.order_by("pk").values_list("pk", flat=True)
    last = keys.filter(pk__gt=after)[pace - 1 : pace].first()
    piece = PolicyVersion.objects.filter(pk__gt=after).order_by()
    if last is not None:
        piece = piece.filter(pk__lte=last)
    held = PolicyRecord.objects.filter(domain=OuterRef("domain")).order_by()
    over = piece.filter(Q(last_seen__lt=now - KEPT) | Q(~Exists(held), last_seen=None))
    found = dict(over.values_list("pk", "last_seen"))
    if found:
        ended = [pk for pk, last_seen in found.items() if last_seen is None]
        piece.filter(~Exists(held), pk__in=ended, last_seen=None).update(last_seen=now)
        PolicyVersion.objects.filter(pk__in=found.keys() - ended).delete()
    came_to = {"after": last or 0, "found": len(found)}
    Summary.objects.filter(name=WALK).update(counts=came_to, at=now)


@dataclass(frozen=True, slots=True)
class Change:
    """A version beside the one before it.

    `until`: when it was in force no longer; None while it is. `last_seen`: when it was fetched
    last, as far as that is known.
    """

    version: PolicyVersion
    before: PolicyVersion | None
    until: datetime | None
    last_seen: datetime

    @property
    def kind(self) -> str:
        """What is remarkable about it; empty for a change that was announced as it should be."""
        if self.before is None:
            return ""
        is_text_same = self.version.digest == self.before.digest
        is_id_same = self.version.record_id == self.before.record_id
        if is_id_same and not is_text_same:
            return "text changed, id did not"
        if is_text_same and not is_id_same:
            return "id changed, text did not"
        return ""


def of(
    domain: str, limit: int | None = None, *, now: datetime, row: PolicyRecord | None
) -> list[Change]:
    """The versions of a domain's policy, newest first; all that are kept, or the latest.

    `row`: of that domain, as it is.
    """
    found = PolicyVersion.objects.filter(domain=domain)
    return changes(list(found if limit is None else found[: limit + 1]), row, now)[:limit]


def changes(
    versions: Sequence[PolicyVersion], row: PolicyRecord | None, now: datetime
) -> list[Change]:
    """Versions of one domain that follow each other, newest first, each beside the one before."""
    pairs = zip(versions, [*versions[1:], None], strict=True) if versions else ()
    return [_change(*pair, row, now) for pair in pairs]


def before(version: PolicyVersion) -> PolicyVersion | None:
    """The version that it took the place of, where that is kept."""
    of_domain = PolicyVersion.objects.filter(domain=version.domain)
    return of_domain.filter(
        Q(first_seen__lt=version.first_seen) | Q(first_seen=version.first_seen, pk__lt=version.pk)
    ).first()


def _change(
    version: PolicyVersion, before: PolicyVersion | None, row: PolicyRecord | None, now: datetime
) -> Change:
    if version.last_seen is not None:
        return Change(version, before, version.last_seen, version.last_seen)
    until = version.first_seen if row is None else _ended(row, now)
    if until is not None:
        until = max(until, version.first_seen)
    seen = version.first_seen if row is None or row.backoff else row.last_update
    return Change(version, before, until, min(filter(None, (max(seen, version.first_seen), until))))


def on(day: date, changes: Sequence[Change]) -> list[PolicyVersion]:
    """Which of these versions were in force on a UTC day, the latest first."""
    return [each.version for each in changes if _was_held(each, day)]


def _was_held(change: Change, day: date) -> bool:
    last = change.until.astimezone(UTC).date() if change.until else date.max
    return change.version.first_seen.astimezone(UTC).date() <= day <= last
