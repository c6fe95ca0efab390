"""Policy history: each text and record id under which a domain's policy was fetched.

A version is written only where something changed, so that a refresh that finds what is known
costs nothing here, however many policies there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from policies.decide import Answer, Store
from policies.inserting import insert
from policies.models import Fetch, PolicyRecord, PolicyVersion
from policies.mtasts.errors import MTASTSError

if TYPE_CHECKING:
    from policies.decide import Fetched


def version(
    row: PolicyRecord | None,
    domain: str,
    answer: Answer,
    fetched: Fetched | None,
    source: Fetch.Source,
    now: datetime,
) -> PolicyVersion | None:
    """The version that this fetch found, not saved; None where it is the one that the row has.

    To be asked before the row is made to say what was fetched.
    """
    if answer.store is not Store.POLICY or fetched is None or isinstance(fetched, MTASTSError):
        return None
    is_known = (
        row is not None
        and not row.backoff
        and row.edited is None
        and (row.policy_text, row.record_id) == (fetched.text, answer.record_id)
    )
    if is_known:
        return None
    return PolicyVersion(
        domain=domain,
        record_id=answer.record_id,
        policy_text=fetched.text,
        digest=hashlib.sha256(fetched.text.encode()).hexdigest(),
        mode=str(fetched.policy.mode),
        first_seen=now,
        found_by=source,
    )


def save(versions: Sequence[PolicyVersion]) -> None:
    """Write versions that were found; those before them end. To be called in a transaction.

    What is found again as it was (after a back-off or an edit) is no new version.
    """
    if not versions:
        return
    current = _current({each.domain for each in versions})
    new = [each for each in versions if current.get(each.domain) != _told(each)]
    for each in new:
        if each.domain in current:
            _end(each)
    insert(new)


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


def _end(new: PolicyVersion) -> None:
    """The version before a new one ends; of those before it, as many stay as the settings say."""
    past = PolicyVersion.objects.filter(domain=new.domain)
    past.filter(last_seen=None).update(last_seen=new.first_seen)
    kept = settings.MTASTS.history_versions - 1
    past.filter(pk__in=list(past.values_list("pk", flat=True)[kept:])).delete()


def forget(domains: Sequence[str]) -> None:
    """Their policies have outlived themselves, and so has what they were before."""
    PolicyVersion.objects.filter(domain__in=domains).delete()


@dataclass(frozen=True, slots=True)
class Change:
    """A version beside the one before it."""

    version: PolicyVersion
    before: PolicyVersion | None

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


def of(domain: str, limit: int | None = None) -> list[Change]:
    """The versions of a domain's policy, newest first; all that are kept, or the latest."""
    found = PolicyVersion.objects.filter(domain=domain)
    versions = list(found if limit is None else found[: limit + 1])
    before = [*versions[1:], None]
    return [Change(*pair) for pair in zip(versions, before, strict=False)][:limit]


def on(day: date, changes: Sequence[Change]) -> list[PolicyVersion]:
    """Which of these versions were in force on a UTC day, the latest first."""
    return [each.version for each in changes if _was_held(each.version, day)]


def _was_held(version: PolicyVersion, day: date) -> bool:
    last = version.last_seen.astimezone(UTC).date() if version.last_seen else date.max
    return version.first_seen.astimezone(UTC).date() <= day <= last
