"""The policy cache: what is a domain's MTA-STS policy?

`lookup`, `upsert`, `get` and `policy_records` are for whoever sends mail; `refetch`, `edit` and
`delete` for operators. What to answer is decided in `policies.decide`; here the row is read, DNS
and the policy host are asked, and what came of it is written. With `policies.refresh` this is the
only writer of `PolicyRecord`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db import Error, IntegrityError, transaction

from policies import alerts, fetches, history, holders, ledger, outcomes, rows, world
from policies.alerts import sighting
from policies.decide import NEEDS_FETCH, Answer, Store, decide
from policies.flights import Flights
from policies.ledger import Entry, Ledger
from policies.models import Fetch, PolicyRecord
from policies.mtasts import Domain, Policy, parse_domain
from policies.mtasts.errors import DNSError, MTASTSError, first_error
from policies.outcomes import Seen, Source
from policies.querysets import PolicyRecordQuerySet
from policies.tlsrpt.result import Result

if TYPE_CHECKING:
    from policies.decide import Fetched, Look
    from policies.world import Looked, World

log = logging.getLogger(__name__)

CLAIM_SLACK = timedelta(seconds=30)
"""How much longer a claim counts than the deadlines of what is done under it."""

CLAIM_POLL = 0.1
"""Seconds between looks at a row that another process is fetching."""

LEDGER = Ledger()


ADOPTED_AT_ONCE = 500
"""Rows written in one transaction: more would hold the database from others for too long."""


class NotFoundError(Exception):
    """No policy is cached, or it has expired."""


class BackoffError(Exception):
    """The fetch failed lately and is not tried again yet."""


class TransientError(Exception):
    """No answer for now; `result` says why, for whoever counts."""

    def __init__(self, error: DNSError, result: Result) -> None:
        super().__init__(str(error))
        self.error = error
        self.result = result


class GetResult(NamedTuple):
    """The answer of `get`.

    `policy`: None where the domain has none, or none that could be had. `result`: what a TLS
    report says of it (RFC 8460 section 4.4). `fresh`: DNS was asked and the answer is known.
    """

    policy: Policy | None
    result: Result
    fresh: bool


@dataclass(frozen=True, slots=True)
class Consulted:
    """What the cache came to.

    `row`: as it is now; None where there is none. `ttl`: seconds for which DNS says that its
    answer holds. `fetched`: what the policy host's answer came to, None where it was not asked.
    `changed`: a policy was stored whose text is not as before. `is_stored`: False where the
    database would not take `row`.
    """

    answer: Answer
    row: PolicyRecord | None
    look: Look
    ttl: int
    fetched: Fetched | None = None
    changed: bool = False
    is_stored: bool = True

    @property
    def error(self) -> MTASTSError | None:
        """What went wrong, whichever of the two it was."""
        return first_error(self.fetched, self.look)


@dataclass(frozen=True, slots=True)
class Use:
    """A mail server's lookups of a domain since the last count: those that ended alike.

    `domain`: as rows name it. `at`: the latest of them; `first`: the first, where it is another.
    """

    domain: str
    at: datetime
    result: Result
    count: int = 1
    first: datetime | None = None

    @property
    def seen(self) -> Seen:
        """The same as outcomes are counted."""
        return Seen(self.result, self.at, self.count, self.first, domain=self.domain)


@dataclass(frozen=True, slots=True)
class Adoption:
    """A policy that another program fetched at `fetched`, and that it held without its text."""

    domain: Domain
    record_id: str
    policy: Policy
    fetched: datetime


_flights: Flights[Consulted] = Flights()


def lookup(domain: str | Domain) -> PolicyRecord:
    """The row of a valid policy, marked as used. No DNS, no HTTPS.

    Raises NotFoundError, BackoffError, and DomainNameError for what is no domain name.
    """
    name = _name(domain)
    now = world.default().now()
    row = PolicyRecord.objects.valid(now).filter(domain=name.unicode).first()
    if row is None:
        raise NotFoundError(f"no valid policy is cached for {name.unicode}")
    row.last_use = now
    PolicyRecord.objects.filter(pk=row.pk).update(last_use=now)
    if row.backoff:
        raise BackoffError(f"the policy of {name.unicode} could not be fetched lately")
    return row


def upsert(
    domain: str | Domain, record_id: str, policy: Policy | None, policy_text: str = ""
) -> None:
    """Store a policy as fetched now under this record id; None: its fetch failed now.

    A failed fetch leaves a valid policy in force and notes the id, so that it is not fetched again
    for five minutes; with none in force the row backs off. Storing is not use: `last_use` stays.
    """
    name = _name(domain)
    now = world.default().now()
    with transaction.atomic():
        row = PolicyRecord.objects.select_for_update().filter(domain=name.unicode).first()
        row = row or _new_row(name, now)
        if policy is not None:
            rows.set_policy(row, record_id, policy, policy_text, now)
        elif row.pk and not row.backoff and row.is_valid(now):
            rows.set_hold(row, record_id, None, now)
        else:
            rows.set_backoff(row, record_id, None, policy_text, now)
        ledger.write([Entry(row, row.claim)])


def policy_records() -> PolicyRecordQuerySet:
    """All rows, last use first, then by domain; what none has asked for comes last."""
    return PolicyRecord.objects.by_use()


def get(domain: str | Domain, *, outside: World | None = None) -> GetResult:
    """The policy of a domain, from the cache, or fetched now and stored.

    Counts as a mail server's use. Asks DNS each time whether a cached policy is still the
    published one, and fetches it where it is not (RFC 8461 section 3.3). A policy that is valid
    stays in force whatever fails; `result` tells of it.

    Raises TransientError while there is no answer, and DomainNameError.
    """
    name = _name(domain)
    outside = outside or world.default()
    answer = consult(name, outside).answer
    _note_get(name, answer, outside.now())
    if answer.error is not None:
        raise TransientError(answer.error, answer.result)
    return GetResult(answer.policy, answer.result, answer.fresh)


def consult(name: Domain, outside: World, books: Ledger = LEDGER) -> Consulted:
    """What `get` answers from, uncounted. Those who ask at the same time get the same."""
    return _flights.join(name.ascii, lambda: _consult(name, outside, books, force=False))


def note_uses(uses: Sequence[Use], seen: Iterable[Seen] = ()) -> None:
    """Count many lookups at once, of domains that have a row; their outcomes with them.

    Several uses of a domain may differ in their result: the latest becomes the row's outcome,
    which never moves back in time. `seen`: other lookups to be counted in the same transaction,
    of domains without a row or without an answer.
    """
    latest = {use.domain: use for use in sorted(uses, key=lambda use: use.at)}
    with transaction.atomic():
        PolicyRecord.objects.write_uses(
            [
                (domain, use.at, rows.outcome_fields(use.result, use.at))
                for domain, use in sorted(latest.items())
            ]
        )
        outcomes.record([*(use.seen for use in uses), *seen])


def _note_get(name: Domain, answer: Answer, now: datetime) -> None:
    with transaction.atomic():
        if answer.store is not Store.NOTHING:
            fields = rows.outcome_fields(answer.result, now)
            PolicyRecord.objects.filter(domain=name.unicode).update(last_use=now, **fields)
        outcomes.record([Seen(answer.result, now, resolver=answer.error is not None)])


def refetch(domain: str | Domain, *, outside: World | None = None) -> Consulted:
    """Look at the TXT record and fetch now, whatever the cache and the record id say.

    Is no use. Without a usable record nothing is fetched, and a cached policy stays; it stays,
    too, when the fetch fails. A fetch that works ends an operator's edit.
    """
    name = _name(domain)
    outside = outside or world.default()
    consulted = _flights.after(name.ascii, lambda: _consult(name, outside, LEDGER, force=True))
    answer, now = consulted.answer, outside.now()
    is_ours = answer.error is not None
    with transaction.atomic():
        if not is_ours:
            fields = rows.outcome_fields(answer.result, now)
            PolicyRecord.objects.filter(domain=name.unicode).update(**fields)
        outcomes.record([Seen(answer.result, now, source=Source.OPERATOR, resolver=is_ours)])
    return consulted


def edit(row: PolicyRecord, policy: Policy | None, *, text_edited: bool) -> None:
    """Save what an operator changed: `policy_text`, `record_id`, `valid_end`, `backoff`.

    `policy`: what the text parses to; None for a row that backs off. With `text_edited` the edit
    holds through refreshes until the record id changes or someone refetches. `row.valid_end` None
    is max_age from now. A fetch that is under way does not overwrite the row.
    """
    now = world.default().now()
    with transaction.atomic():
        before = PolicyRecord.objects.select_for_update().filter(domain=row.domain).first()
        if before is not None and row.pk is None:
            raise IntegrityError(f"{row.domain} is cached already")
        rows.set_edit(row, policy, now, text_edited=text_edited)
        if before is not None:
            row.last_use = before.last_use
            row.open_alerts, row.alert_noted = before.open_alerts, before.alert_noted
        row.claim, row.claimed_until = "", None
        row.save()


def adopt(adoptions: Sequence[Adoption]) -> int:
    """Store policies that another program held, where none is in force here; how many were.

    Their life counts from that program's fetch. Each is fetched when it is first asked for or when
    its refresh is due, whichever comes first, for their texts are not known.
    """
    adopted = 0
    for start in range(0, len(adoptions), ADOPTED_AT_ONCE):
        batch = {each.domain.unicode: each for each in adoptions[start : start + ADOPTED_AT_ONCE]}
        now = world.default().now()
        with transaction.atomic():
            for row in PolicyRecord.objects.filter(domain__in=batch).locked():
                adoption = batch.pop(row.domain)
                if row.backoff or not row.is_valid(now):
                    ledger.write([Entry(_adopt(row, adoption, now), row.claim)])
                    adopted += 1
            new = [_adopt(_new_row(each.domain, now), each, now) for each in batch.values()]
            PolicyRecord.objects.bulk_create(new, ignore_conflicts=True)
            adopted += len(new)
    return adopted


def _adopt(row: PolicyRecord, adoption: Adoption, now: datetime) -> PolicyRecord:
    rows.set_adopted(row, adoption.record_id, adoption.policy, adoption.fetched, now)
    return row


def delete(domains: Iterable[str]) -> int:
    """Forget these domains (as rows name them); how many there were."""
    names, now = list(domains), world.default().now()
    with transaction.atomic():
        chosen = PolicyRecord.objects.filter(domain__in=names)
        gone = list(chosen.locked().defer("policy_text"))
        deleted, _ = chosen.delete()
        history.end(gone, now)
        alerts.forget(names, now)
    return deleted


def _name(domain: str | Domain) -> Domain:
    return domain if isinstance(domain, Domain) else parse_domain(domain)


def _new_row(name: Domain, now: datetime) -> PolicyRecord:
    return PolicyRecord(domain=name.unicode, inserted=now, valid_end=now)


def _consult(name: Domain, outside: World, books: Ledger, *, force: bool) -> Consulted:
    looked = outside.look(name)
    give_up = time.monotonic() + _claim_time().total_seconds()
    while True:
        row, now = books.read(name), outside.now()
        cached = rows.cached(row, now)
        answer = decide(name.ascii, cached, looked.look, None, now, force=force)
        if answer is not NEEDS_FETCH:
            _note_look(row, name, looked.look, now, books, force=force)
            return Consulted(answer, _without_fetch(row, answer, books), looked.look, looked.ttl)
        claim = holders.token()
        if row is None or books.claim(row, claim, now, _claim_time()):
            return _fetch(name, row, claim, looked, outside, books, force=force)
        # The refresh may hold a row for long without fetching it; no operator waits for that.
        if force and books.take_over(row, claim, now, _claim_time()):
            return _fetch(name, row, claim, looked, outside, books, force=force)
        if time.monotonic() > give_up:
            # Claims end by then: whoever holds one still has a clock that is not ours.
            return _fetch(name, row, row.claim, looked, outside, books, force=force)
        outside.wait(CLAIM_POLL)


def _note_look(
    row: PolicyRecord | None, name: Domain, look: Look, now: datetime, books: Ledger, *, force: bool
) -> None:
    source = Fetch.Source.OPERATOR if force else Fetch.Source.LOOKUP
    seen = sighting.of(row, name, look, None, source, now)
    if seen is None:
        return
    try:
        books.note(seen)
    except Error:
        # The answer is right all the same, and the next look tells it again.
        log.exception("alert not written", extra={"domain": name.ascii})


def _without_fetch(row: PolicyRecord | None, answer: Answer, books: Ledger) -> PolicyRecord | None:
    if row is None or answer.store is not Store.DELETE:
        return row
    log.info("record gone, back-off deleted", extra={"domain": row.name.ascii})
    books.forget(row)
    return None


def _claim_time() -> timedelta:
    return timedelta(seconds=settings.MTASTS.fetch_timeout) + CLAIM_SLACK


def _fetch(
    name: Domain,
    row: PolicyRecord | None,
    claim: str,
    looked: Looked,
    outside: World,
    books: Ledger,
    *,
    force: bool,
) -> Consulted:
    started = outside.now()
    try:
        fetched = outside.fetch(name)
    except BaseException:
        books.release(name, claim)
        raise
    now = outside.now()
    cached = rows.cached(row, now)
    answer = decide(name.ascii, cached, looked.look, fetched, now, force=force)
    assert answer is not NEEDS_FETCH  # noqa: S101 - it has what it needs
    changed = rows.is_change(row, answer, fetched)
    source = Fetch.Source.OPERATOR if force else Fetch.Source.LOOKUP
    version = history.version(row, name.unicode, answer, fetched, source, now)
    seen = sighting.of(row, name, looked.look, fetched, source, now)
    row = row or _new_row(name, now)
    rows.keep(row, answer, fetched, now)
    fetch = None if force else fetches.of_lookup(name, started, now, answer, fetched, changed)
    is_stored = True
    try:
        books.keep(Entry(row, claim, version, fetch, seen))
    except Error:
        # The answer is right all the same, and mail waits for it.
        log.exception("policy fetched but not stored", extra={"domain": name.ascii})
        if force:
            raise
        is_stored = False
    return Consulted(answer, row, looked.look, looked.ttl, fetched, changed, is_stored)
