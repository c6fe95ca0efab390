"""The daily MX check: do the mail hosts of each policy in use fit it, so that mail gets through?

A round of the tick asks DNS in threads, at a bounded rate, and saves in batches what it says. New
policies are found among those used since the last round, and by walking through the cache a piece
at a time, so that whatever makes a row (a lookup, an import, psql) has it checked, and no lookup or
refresh does more for it.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Value
from django.db.models.functions import Coalesce

from policies import leases, world
from policies.models import MXCheck, PolicyRecord, Summary
from policies.models.policy import NEVER
from policies.mtasts import Domain, parse_domain
from policies.mtasts.errors import DNSError, DomainNameError

if TYPE_CHECKING:
    from policies.mtasts.mailhosts import MailHosts
    from policies.querysets import PolicyRecordQuerySet
    from policies.world import World

log = logging.getLogger(__name__)

LEASE = "mxcheck"

IN_USE = timedelta(days=30)
"""A policy that a mail server asked for within so long has its mail hosts checked."""

DAILY = timedelta(days=1)
JITTER = 0.1
"""How far a check may move, as a share of the time to it."""

RETRY = timedelta(hours=1)
"""After a look-up that failed; up to twice as long, so that an outage is not followed by a rush."""

RATE = 50
"""Checks a second at the most: four million a day, and a tenth of what a small resolver answers."""

THREADS = 32
BATCH = 500
"""Rows of one statement or transaction."""

SAVE_EVERY = 0.5
"""Seconds that an answer waits for company before it is saved."""

IDLE = 0.05
"""Seconds between looks at what the rate allows."""

WALKED, IDLY = 5_000, 100
"""Policies that one round looks at in search of new ones: by use, and by name; and how many by name
while there are none among them."""

OVERLAP = timedelta(minutes=2)
"""How late a use may be written, by a machine whose clock is not quite ours."""

MAX_HOSTS = 32
"""Mail hosts of a domain that are kept, best preference first."""

WALK = "mxcheck-walk"
"""The `Summary` that says how far the walk has come."""

Stopping = Callable[[], bool]

_CHECKED_MODES = (PolicyRecord.Mode.ENFORCE, PolicyRecord.Mode.TESTING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A check to make: the domain, and the patterns of the policy that is cached for it."""

    row: MXCheck
    patterns: list[str]

    @property
    def name(self) -> Domain:
        return parse_domain(self.row.domain)


@dataclass
class Counts:
    """What a round did. `new`: never checked before; `failed`: DNS did not say."""

    new: int = 0
    checked: int = 0
    failed: int = 0
    dropped: int = 0


def tick(
    span: timedelta, *, outside: World | None = None, stopping: Stopping = lambda: False
) -> Counts | None:
    """A round of at most `span`, unless one is under way somewhere; then None."""
    outside = outside or world.default()
    now = outside.now()
    if leases.taken(now, LEASE):
        return None
    new = walk(now)
    if not new and not MXCheck.objects.filter(due__lte=now).order_by("due")[:1]:
        return Counts()
    with leases.held(LEASE, span + timedelta(minutes=1), now) as ours:
        return _check(outside, Counts(new=new), span, stopping) if ours else None


def run(
    *,
    outside: World,
    span: timedelta | None = None,
    stopping: Stopping = lambda: False,
    walked: int = WALKED,
) -> Counts:
    """Check what is due. `span`: take on no more after so long; None: until nothing is due."""
    return _check(outside, Counts(new=walk(outside.now(), walked)), span, stopping)


def _check(outside: World, counts: Counts, span: timedelta | None, stopping: Stopping) -> Counts:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="mxcheck") as threads:
        _Round(threads, outside, counts, span, stopping).run()
    if counts != Counts():
        log.info("mail hosts checked", extra=vars(counts))
    return counts


def walk(now: datetime, count: int = WALKED) -> int:
    """Look for policies in use that have no check planned yet, and plan for them at once.

    Those that were used since the last walk come first, then the next by name, whoever wrote them:
    so many of each at the most. How many had none.
    """
    mark, _ = Summary.objects.get_or_create(name=WALK, defaults={"at": now})
    since = datetime.fromisoformat(mark.counts.get("since", (now - OVERLAP).isoformat()))
    used, since = _used(since, now, count)
    _plan(used, now)
    pace = count if mark.counts.get("new", 1) else min(count, IDLY)
    named, after = _named(str(mark.counts.get("after", "")), now, pace)
    _plan(named, now)
    came_to = {"since": since.isoformat(), "after": after, "new": len(named)}
    Summary.objects.filter(name=WALK).update(counts=came_to, at=now)
    return len(used) + len(named)


def _used(since: datetime, now: datetime, count: int) -> tuple[list[str], datetime]:
    """New ones among those used after `since`, the first so many, and since when to look next."""
    piece = PolicyRecord.objects.filter(last_use_key__gt=since).order_by("last_use_key")
    times = piece.values_list("last_use_key", flat=True)
    if times.first() is None:
        return [], now - OVERLAP
    last = times[count : count + 1].first()
    if last is not None:
        # More of the same moment, as an import makes them, are left to the walk by name.
        piece = piece.filter(last_use_key__lte=last)
    return _new(piece, now, count), now - OVERLAP if last is None else min(last, now)


def _named(after: str, now: datetime, count: int) -> tuple[list[str], str]:
    """New ones among the next so many by name, and after which name to go on."""
    piece = PolicyRecord.objects.filter(domain__gt=after).order_by("domain")
    # The last of the piece, by the index of names alone.
    last = piece.values_list("domain", flat=True)[count : count + 1].first()
    if last is not None:
        piece = piece.filter(domain__lte=last)
    return _new(piece, now, count), last or ""


def _new(piece: PolicyRecordQuerySet, now: datetime, count: int) -> list[str]:
    planned = MXCheck.objects.filter(domain=OuterRef("domain"))
    new = _in_use(piece, now).filter(~Exists(planned))
    return list(new.values_list("domain", flat=True)[: count + 1])


def _plan(domains: list[str], now: datetime) -> None:
    # In one order everywhere, or two who write many rows wait for each other.
    domains = sorted(domains)
    for start in range(0, len(domains), BATCH):
        MXCheck.objects.bulk_create(
            [MXCheck(domain=domain, due=now) for domain in domains[start : start + BATCH]],
            ignore_conflicts=True,
        )


def renew(name: Domain, *, outside: World | None = None) -> MXCheck | None:
    """Check one domain now, for an operator who waits; None where it has no policy to compare.

    What was known stays where DNS does not answer.
    """
    outside = outside or world.default()
    policy = PolicyRecord.objects.filter(
        domain=name.unicode, backoff=False, mode__in=_CHECKED_MODES
    ).first()
    if policy is None:
        return None
    answer = outside.mail(name)
    now = outside.now()
    row = MXCheck.objects.filter(domain=name.unicode).first()
    row = row or MXCheck(domain=name.unicode, due=now)
    _note(Wanted(row, policy.mx), answer, now)
    _write([row])
    return row


def hasten(domains: Iterable[str]) -> None:
    """Have these checked first in the next round: their policies have changed."""
    MXCheck.objects.filter(domain__in=list(domains)).update(due=NEVER)


def of(domain: str) -> MXCheck | None:
    """The check of a domain as rows name it."""
    return MXCheck.objects.filter(domain=domain).first()


_WRITTEN = (
    "due", "checked_at", "named", "hosts", "finding", "foretells", "since", "failed_at", "failure",
)  # fmt: skip


def _in_use(rows: PolicyRecordQuerySet, now: datetime) -> PolicyRecordQuerySet:
    # By the index of modes, databases would read most of the cache.
    bare = rows.alias(bare_mode=Coalesce("mode", Value("")))
    return bare.filter(backoff=False, bare_mode__in=_CHECKED_MODES, last_use__gte=now - IN_USE)


def _due(now: datetime, counts: Counts) -> list[Wanted]:
    """What is due longest. Checks of what is no longer in use are dropped on the way."""
    rows = list(MXCheck.objects.filter(due__lte=now).order_by("due")[:BATCH])
    policies = _in_use(PolicyRecord.objects.filter(domain__in=[row.domain for row in rows]), now)
    patterns = dict(policies.order_by().values_list("domain", "mx"))
    over = [row.pk for row in rows if row.domain not in patterns]
    if over:
        MXCheck.objects.filter(pk__in=over).delete()
        counts.dropped += len(over)
    return [Wanted(row, patterns[row.domain]) for row in rows if row.domain in patterns]


class _Round:
    """Takes on what is due, keeps the threads busy within the rate, and saves what they bring."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        outside: World,
        counts: Counts,
        span: timedelta | None,
        stopping: Stopping,
    ) -> None:
        self._threads = threads
        self._outside = outside
        self._counts = counts
        self._stopping = stopping
        self._began = self._saved = time.monotonic()
        self._is_bounded = span is not None
        self._ends = math.inf if span is None else self._began + span.total_seconds()
        self._waiting: deque[Wanted] = deque()
        self._asked: dict[Future[MailHosts | DNSError], Wanted] = {}
        self._answered: list[tuple[Wanted, MailHosts | DNSError]] = []
        self._taken = 0

    def run(self) -> None:
        is_more = True
        while True:
            is_more = is_more and time.monotonic() < self._ends and not self._stopping()
            if is_more and not self._waiting:
                is_more = self._read()
            if is_more:
                self._ask()
            if not self._asked and not (is_more and self._waiting):
                break
            self._hear()
            if len(self._answered) >= BATCH or time.monotonic() - self._saved > SAVE_EVERY:
                self._save()
        self._save()

    def _read(self) -> bool:
        """Whether something is due that is not being asked about."""
        self._save()
        asked = {each.row.domain for each in self._asked.values()}
        due = _due(self._outside.now(), self._counts)
        self._waiting.extend(each for each in due if each.row.domain not in asked)
        return bool(self._waiting)

    def _ask(self) -> None:
        allowed = math.inf
        if self._is_bounded:
            allowed = (time.monotonic() - self._began + 1) * RATE - self._taken
        while self._waiting and len(self._asked) < THREADS and allowed >= 1:
            each = self._waiting.popleft()
            self._asked[self._threads.submit(_answer, each, self._outside)] = each
            self._taken += 1
            allowed -= 1

    def _hear(self) -> None:
        if not self._asked:  # the rate allows none yet
            time.sleep(IDLE)
            return
        done, _open = wait(self._asked, timeout=IDLE, return_when=FIRST_COMPLETED)
        self._answered += [(self._asked.pop(each), each.result()) for each in done]

    def _save(self) -> None:
        now = self._outside.now()
        for wanted, answer in self._answered:
            is_failure = isinstance(answer, DNSError)
            self._counts.failed += is_failure
            self._counts.checked += not is_failure
            _note(wanted, answer, now)
        _write([wanted.row for wanted, _ in self._answered])
        self._answered.clear()
        self._saved = time.monotonic()


def _answer(wanted: Wanted, outside: World) -> MailHosts | DNSError:
    """What DNS says. A domain that breaks us must not end the round, or it would end all rounds."""
    try:
        return outside.mail(wanted.name)
    except DomainNameError as error:  # a row that somebody else wrote
        return DNSError(str(error), reason="bad-name")
    except Exception:
        log.exception("MX check broke", extra={"domain": wanted.row.domain})
        return DNSError("the check broke", reason="broken")


def _write(rows: Sequence[MXCheck]) -> None:
    # In one order everywhere, or two who write many rows wait for each other.
    MXCheck.objects.bulk_create(
        sorted(rows, key=lambda row: row.domain),
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["domain"],
        update_fields=_WRITTEN,
    )


def _note(wanted: Wanted, answer: MailHosts | DNSError, now: datetime) -> None:
    row = wanted.row
    if isinstance(answer, DNSError):
        row.missed(answer.reason, now)
        row.due = now + RETRY * random.uniform(1, 2)  # noqa: S311 - no secret
        return
    row.found(str(answer.named), list(answer.pairs[:MAX_HOSTS]), wanted.patterns, now)
    row.due = now + DAILY * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
