"""The log of fetches: asked for, begun, ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from policies import forgetting
from policies.decide import Answer, Store
from policies.models import Fetch
from policies.mtasts import Domain
from policies.mtasts.errors import MTASTSError, NoRecordError
from policies.storable import storable

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from policies.cache import Consulted
    from policies.decide import Fetched

KEPT = timedelta(days=90)
UNCHANGED_KEPT = timedelta(days=3)
"""How long the log keeps a refresh that found what was known: one a day for each policy."""


def outcome(answer: Answer, error: MTASTSError | None) -> Fetch.Outcome:
    """How a fetch ended that came to this answer, or to this error on the way."""
    if answer.store is Store.DELETE:
        return Fetch.Outcome.REMOVED
    if isinstance(error, NoRecordError):
        return Fetch.Outcome.NO_RECORD
    is_held_off = error is None and answer.store is Store.USE
    return Fetch.Outcome.FAILED if error or is_held_off else Fetch.Outcome.FETCHED


def ended(
    name: Domain,
    source: Fetch.Source,
    started: datetime,
    now: datetime,
    answer: Answer,
    error: MTASTSError | None,
    changed: bool,
) -> Fetch:
    """The log's row of a fetch that nobody waited for, not saved."""
    fetch = Fetch(domain=name.unicode, source=source, queued_at=started, started_at=started)
    return _end(fetch, answer, error, changed, now)


def of_lookup(
    name: Domain,
    started: datetime,
    now: datetime,
    answer: Answer,
    fetched: Fetched,
    changed: bool,
) -> Fetch:
    """The log's row of a fetch that a mail server's lookup made, not saved."""
    error = fetched if isinstance(fetched, MTASTSError) else None
    return ended(name, Fetch.Source.LOOKUP, started, now, answer, error, changed)


def request(name: Domain, user: User | None) -> tuple[Fetch, bool]:
    """The open fetch of this domain, and whether it was made just now.

    Two who ask at once get the same: the database lets one open fetch per domain in.
    """
    return Fetch.objects.get_or_create(
        domain=name.unicode,
        state__in=[Fetch.State.QUEUED, Fetch.State.RUNNING],
        defaults={
            "source": Fetch.Source.OPERATOR,
            "state": Fetch.State.QUEUED,
            "requested_by": user,
        },
    )


def begin(fetch_id: int) -> Fetch | None:
    """The fetch, now running; None where it is not waiting any more."""
    waiting = Fetch.objects.filter(pk=fetch_id, state=Fetch.State.QUEUED)
    if not waiting.update(state=Fetch.State.RUNNING, started_at=timezone.now()):
        return None
    return Fetch.objects.get(pk=fetch_id)


def is_open(fetch_id: int) -> bool:
    """Whether it waits or runs."""
    return Fetch.objects.filter(
        pk=fetch_id, state__in=[Fetch.State.QUEUED, Fetch.State.RUNNING]
    ).exists()


def finish(fetch: Fetch, consulted: Consulted) -> Fetch:
    """The fetch has ended as `cache.refetch` says."""
    _end(fetch, consulted.answer, consulted.error, consulted.changed, timezone.now())
    fetch.save()
    return fetch


def requeue(fetch_id: int) -> None:
    """Whoever made this fetch is dead: it waits again. One that has ended stays as it is."""
    running = Fetch.objects.filter(pk=fetch_id, state=Fetch.State.RUNNING)
    running.update(state=Fetch.State.QUEUED, started_at=None)


def give_up(queued_before: datetime, started_before: datetime) -> int:
    """End what has lost its task or its worker; how many there were."""
    # As words in the statement: with parameters SQLite does not see what the index of open fetches
    # holds, and reads all there are.
    open_ = [RawSQL("'queued'", ()), RawSQL("'running'", ())]
    stuck = Fetch.objects.filter(
        Q(state=Fetch.State.QUEUED, queued_at__lt=queued_before)
        | Q(state=Fetch.State.RUNNING, started_at__lt=started_before),
        state__in=open_,
    )
    return stuck.update(
        state=Fetch.State.DONE,
        outcome=Fetch.Outcome.LOST,
        message="The worker was gone before the fetch ended. Try again.",
        finished_at=timezone.now(),
    )


def prune(now: datetime) -> None:
    """Forget what is old: soon where the refresh found nothing new, late else."""
    # The oldest first, as indexes have them: PostgreSQL, which takes many to be old whenever its
    # statistics are, would read the whole table in search of any.
    oldest = Fetch.objects.order_by("queued_at")
    forgetting.forget(oldest.filter(queued_at__lt=now - KEPT))
    forgetting.forget(
        oldest.filter(
            source=Fetch.Source.REFRESH,
            outcome=Fetch.Outcome.FETCHED,
            changed=False,
            queued_at__lt=now - UNCHANGED_KEPT,
        )
    )


def abandon(fetch: Fetch, message: str) -> None:
    """The fetch ended without an answer: not the domain's fault but ours."""
    fetch.state = Fetch.State.DONE
    fetch.outcome = Fetch.Outcome.LOST
    fetch.message = message
    fetch.finished_at = timezone.now()
    fetch.save()


def _end(
    fetch: Fetch, answer: Answer, error: MTASTSError | None, changed: bool, now: datetime
) -> Fetch:
    fetch.state = Fetch.State.DONE
    fetch.finished_at = now
    fetch.outcome = outcome(answer, error)
    fetch.changed = changed
    fetch.record_id = answer.record_id
    if error is not None:
        fetch.message = storable(str(error))
    if answer.failure is not None:
        fetch.failure_type = str(answer.failure.result_type)
        fetch.failure_reason = answer.failure.reason_code[:255]
    return fetch


def started(name: Domain) -> Fetch:
    """An operator's fetch that begins now and never waited, not saved."""
    now = timezone.now()
    return Fetch(domain=name.unicode, source=Fetch.Source.OPERATOR, queued_at=now, started_at=now)
