"""What to answer when memory alone does not tell. All of it runs in the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from mtastsweb.environment import OnDNSError
from policies.mtasts import Mode, parse_domain
from policies.mtasts.errors import DNSError
from policies.mtasts.zones import zone
from policies.socketmap.exceptions import Action, Scope, decides_alone, may_allow
from policies.socketmap.netstring import encode
from policies.socketmap.reply import INVALID_POLICY, NOT_FOUND, POLICY_TOO_LARGE, temporary
from policies.socketmap.request import Query, parse_request
from policies.socketmap.server.caution import on_dns_error, trust
from policies.socketmap.server.counts import Counts, Forced, kind
from policies.socketmap.server.excepted import told
from policies.socketmap.server.flight import Asker, Flight, Give
from policies.socketmap.server.held import Held, held
from policies.socketmap.server.lookups import Desk, Landed, Lookup, Progress, Trouble
from policies.socketmap.server.memory import Known, Memory, Ready
from policies.socketmap.server.pool import Pool

if TYPE_CHECKING:
    from datetime import datetime

    from policies.cache import Consulted
    from policies.socketmap.exceptions import Rule, Rules

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds that a new look at DNS may take before the cached policy is answered."""

DEADLINE = 25.0
"""Seconds after which every query has its answer."""

WITHOUT_DATABASE = 30.0
"""Seconds for which policies are believed without a look, while the database is away."""

DATABASE_AWAY = temporary("the policy database does not answer")
BROKEN = temporary("internal error")

_FORCED = {
    Progress.QUEUED: Forced.QUEUE,
    Progress.DNS: Forced.DNS,
    Progress.DATABASE: Forced.DATABASE,
    Progress.FETCH: Forced.FETCH,
    Progress.DANE: Forced.DANE,
}


class Answers:
    """Answers requests that are not ready, and makes them so.

    `deadline`: seconds that a query may take. `clock`: monotonic, by which trust ends; the event
    loop's own, but for tests.
    """

    def __init__(
        self,
        memory: Memory,
        pool: Pool,
        desk: Desk,
        setting: OnDNSError,
        *,
        deadline: float = DEADLINE,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.memory = memory
        self.counts = Counts()
        self._pool = pool
        self._desk = desk
        self._setting = setting
        self._deadline = deadline
        self._exceptions = desk.exceptions
        self.flights: set[Flight] = set()
        self._loop = asyncio.get_running_loop()
        self.clock = clock or self._loop.time

    @property
    def waiting(self) -> int:
        """How many requests wait for a lookup."""
        return sum(len(flight.askers) for flight in self.flights)

    def ask(self, request: bytes, give: Give) -> bytes | None:
        """The reply to `request`; None where `give` will be called with it, once."""
        query = parse_request(request)
        if not isinstance(query, Query):
            self.counts.not_ours += 1
            self.counts.replies[kind(query)] += 1
            return encode(query)
        if self._desk.dane and query.domain.ascii in self._desk.dane.listed():
            self.counts.listed += 1
            self.counts.replies[kind(NOT_FOUND)] += 1
            return encode(NOT_FOUND)
        known = self.memory.find(query.domain)
        if known.trusted_until > self.clock() and not self._waits_for_dane(known):
            return self._from_memory(known, request, tlsrpt=query.tlsrpt)
        self.counts.misses += 1
        asker = Asker(request, query.tlsrpt, give, self._loop.time())
        return self._from_policy(known, asker) or self._from_lookup(known, asker)

    def finish_soon(self, seconds: float) -> None:
        """The server stops: whoever waits gets an answer within `seconds`."""
        for flight in self.flights:
            self._loop.call_later(seconds, self._be_late, flight)

    def changed(self, known: Known, row: Held | None) -> None:
        """Others have written this domain's row; None: it is gone."""
        if row is not None and row.is_as_good_as(known.held):
            self.memory.keep(known, row)
            return
        if known.flight is not None:
            known.flight.news = (row,)
        self.memory.distrust(known)
        self.memory.keep(known, row)
        known.result, known.is_resolvers, known.other = None, False, NOT_FOUND
        known.is_news = row is not None

    def listed(self, name: str) -> None:
        """This A-label name is on the list of DANE's domains now, or no longer."""
        known = self.memory.get(name)
        if known is not None:
            self.memory.distrust(known)
            known.is_checked = False

    def excepted(self, rules: Rules) -> None:
        """These are the exceptions from now on."""
        self._reconsider(self._exceptions.replace(rules, self._desk.outside.now()))

    def move_on(self) -> None:
        """To be called about twice a second: exceptions begin and end by themselves."""
        self._reconsider(self._exceptions.advance(self._desk.outside.now()))

    def _reconsider(self, changed: list[Rule]) -> None:
        """By these exceptions answers may be others. Policies in memory stay as they are."""
        if not changed:
            return
        if all(rule.scope is Scope.DOMAIN for rule in changed):
            for rule in changed:
                known = self.memory.get(parse_domain(rule.target).ascii)
                if known is not None:
                    self.memory.unready(known)
        else:
            self._step(self.memory.unready_all())
        for flight in list(self.flights):
            if self._is_skipped(flight.known):
                self._go_behind(flight)
                self._answer_all(flight)

    def _step(self, work: Iterator[None]) -> None:
        """A part of the work now, the next one when others had their turn."""
        if next(work, self) is not self:
            self._loop.call_soon(self._step, work)

    def _rule(self, known: Known) -> Rule | None:
        """The exception that counts for it."""
        if not self._exceptions:
            return None
        policy = known.held if known.has_valid_policy(self._wall()) else None
        return self._exceptions.find(known.name, policy, self._desk.outside.now())

    def _has_answer(self, known: Known) -> bool:
        """Whether a policy in memory or an exception tells what to answer, whatever DNS says."""
        if known.has_valid_policy(self._wall()):
            return True
        rule = self._rule(known)
        return rule is not None and decides_alone(rule)

    def _waits_for_dane(self, known: Known) -> bool:
        """Whether an exception would have Postfix enforce what it did not, and DANE, which has
        precedence, was not asked."""
        return not self._is_checked(known) and self._is_held_by_exception(known)

    def _is_held_by_exception(self, known: Known) -> bool:
        rule = self._rule(known)
        if rule is None:
            return False
        is_valid = known.held is not None and known.has_valid_policy(self._wall())
        return may_allow(rule, known.held.policy() if is_valid and known.held else None)

    def _wall(self) -> float:
        """POSIX time, as rows have it."""
        return self._desk.outside.now().timestamp()

    def _from_memory(self, known: Known, request: bytes, *, tlsrpt: bool) -> bytes:
        """The reply, which is ready from now on while `known` is trusted."""
        payload, exception = self._payload(known, tlsrpt=tlsrpt)
        if payload in {INVALID_POLICY, POLICY_TOO_LARGE}:
            log.error(
                "a policy cannot be given to Postfix",
                extra={"domain": known.name.ascii, "reply": payload.decode()},
            )
        if known.trusted_until > self.clock():
            ready = self.memory.make_ready(known, request, payload, exception)
        else:
            ready = Ready(known, encode(payload), exception)
        ready.hits = 1
        self.memory.used.append(ready)
        return ready.reply

    def _payload(self, known: Known, *, tlsrpt: bool) -> tuple[bytes, int]:
        """What Postfix gets, and the id of the exception under which, 0 for none."""
        wall = self._wall()
        rule = self._rule(known)
        if rule is not None:
            policy = known.held if known.has_valid_policy(wall) else None
            payload = told(rule, known.name, policy, tlsrpt=tlsrpt)
            if payload is not None:
                is_danes = known.override is not None and payload.startswith(b"OK ")
                return (known.override or payload) if is_danes else payload, rule.id
        return known.payload(wall, tlsrpt=tlsrpt), 0

    def _from_policy(self, known: Known, asker: Asker) -> bytes | None:
        """The reply, where a policy in memory or an exception has one and DNS need not be waited
        for."""
        if not self._has_answer(known):
            return None
        if self._is_skipped(known):
            self._look_behind(known)
            return self._from_memory(known, asker.request, tlsrpt=asker.tlsrpt)
        if self._desk.database.is_away and self._is_checked(known):
            self._trust(known, WITHOUT_DATABASE)
        elif known.flight is None:
            flight = self._take_off(known, urgent=not known.is_news)
            if known.is_news and self._is_checked(known):
                self._go_behind(flight)
            known.is_news = False
        if known.flight is not None and not known.flight.is_behind:
            return None
        return self._from_memory(known, asker.request, tlsrpt=asker.tlsrpt)

    def _is_skipped(self, known: Known) -> bool:
        """Whether an exception says that there is nothing to say, which needs no lookup."""
        rule = self._rule(known)
        return rule is not None and rule.action is Action.SKIP

    def _look_behind(self, known: Known) -> None:
        """The lookup goes on for the cache and the outcomes; nobody waits for it."""
        if self._desk.database.is_away:
            self._trust(known, WITHOUT_DATABASE)
            return
        flight = known.flight or self._take_off(known, urgent=False)
        self._go_behind(flight)
        self._answer_all(flight)

    def _is_checked(self, known: Known) -> bool:
        """Whether it is known if DANE has precedence over the policy."""
        return known.is_checked or self._desk.dane is None

    def _from_lookup(self, known: Known, asker: Asker) -> bytes | None:
        flight = known.flight
        if flight is None and self._desk.database.is_away and not self.memory.is_complete:
            return self._forced(Forced.DATABASE, DATABASE_AWAY)
        flight = flight or self._take_off(known, urgent=True)
        if flight.late is not None:
            return self._forced(_FORCED[flight.lookup.progress], flight.late)
        flight.askers.append(asker)
        return None

    def _take_off(self, known: Known, *, urgent: bool) -> Flight:
        now = self._loop.time()
        has_policy = known.has_valid_policy(self._wall())
        lookup = Lookup(
            known.name,
            zone(known.name.ascii),
            now + self._deadline,
            self._desk,
            reads_first=not (has_policy or self.memory.is_complete),
            knows_all_rows=self.memory.is_complete and known.held is None,
            enforces=(has_policy and known.held is not None and known.held.mode == Mode.ENFORCE)
            or self._is_held_by_exception(known),
        )
        flight = known.flight = Flight(known, lookup)
        self.flights.add(flight)
        lookup.found = partial(self._to_loop, self._found, flight)
        lookup.landed = partial(self._to_loop, self._landed, flight)
        flight.timers.append(self._loop.call_later(self._deadline, self._be_late, flight))
        if self._has_answer(known):
            self._be_patient(flight)
        self._pool.submit(lookup, urgent=urgent)
        return flight

    def _to_loop(self, function: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():  # a lookup that nobody waited for may outlive the server
            self._loop.call_soon_threadsafe(function, *arguments)

    def _be_patient(self, flight: Flight) -> None:
        if self._is_checked(flight.known):
            flight.timers.append(self._loop.call_later(PATIENCE, self._stop_waiting, flight))

    def _found(self, flight: Flight, row: Held) -> None:
        """The lookup has come across a valid row, and goes on."""
        if flight.known.flight is flight and flight.known.held is None and flight.news is None:
            self.memory.keep(flight.known, row)
            if row.has_policy:
                self._be_patient(flight)

    def _stop_waiting(self, flight: Flight) -> None:
        """The cached policy it is; the lookup goes on behind."""
        known = flight.known
        if known.flight is flight and not flight.is_behind and self._has_answer(known):
            self._go_behind(flight)
            self._answer_all(flight)

    def _go_behind(self, flight: Flight) -> None:
        """Answer from the policy in memory; what the lookup comes to sets what holds then."""
        flight.is_behind = True
        self._trust(flight.known, self._deadline)

    def _landed(self, flight: Flight, outcome: Landed | Trouble) -> None:
        flight.end()
        self.flights.discard(flight)
        known = flight.known
        if self.memory.get(known.name.ascii) is not known:
            # Forgotten meanwhile: those who wait are answered all the same.
            known = flight.known = self.memory.find(known.name)
        match outcome:
            case Landed():
                self._learn(known, outcome)
                if (
                    outcome.consulted
                    and flight.news is not None
                    and not _same(known.held, flight.news[0])
                ):
                    self._overtaken(flight, flight.news[0])
                self._answer_all(flight)
            case Trouble() if self._has_answer(known):
                self._trust(known, WITHOUT_DATABASE)
                self._answer_all(flight)
            case Trouble.DATABASE:
                self._answer_forced(flight, Forced.DATABASE, DATABASE_AWAY)
            case Trouble.BUSY:
                self._answer_forced(flight, Forced.ADDRESS, NOT_FOUND)
            case Trouble.BROKEN:
                self._answer_forced(flight, Forced.BROKEN, BROKEN)

    def _learn(self, known: Known, landed: Landed) -> None:
        """Keep what the lookup came to, and for how long it needs no other."""
        self.memory.distrust(known)
        known.is_news = False
        consulted, verdict = landed.consulted, landed.verdict
        seconds = self._take_in(known, consulted) if consulted else WITHOUT_DATABASE
        if verdict is not None:
            known.override, known.is_checked = verdict.override, True
            seconds = min(seconds, max(1.0, float(verdict.ttl)))
        elif consulted is not None:
            known.override, known.is_checked = None, False
        self._trust(known, seconds)

    def _take_in(self, known: Known, consulted: Consulted) -> float:
        """Seconds for which the new state of `known` needs no other lookup."""
        answer, now = consulted.answer, self._desk.outside.now()
        seconds = trust(consulted.look, consulted.ttl)
        row = None
        if consulted.row is not None:
            row = held(consulted.row, now)
            seconds = min(seconds, _until(consulted.row.retry_at, now))
            if not consulted.is_stored:  # the database was away; the next lookup stores it
                seconds = min(seconds, WITHOUT_DATABASE)
        self.memory.keep(known, row)
        known.result = None if answer.policy and not answer.result.failures else answer.result
        known.is_resolvers = answer.error is not None
        known.other = NOT_FOUND
        if answer.error is not None:
            known.failing_since = known.failing_since or self.clock()
            known.other = self._on_dns_error(known, answer.error)
        elif not isinstance(consulted.look, DNSError):
            known.failing_since = None
        return seconds

    def _overtaken(self, flight: Flight, row: Held | None) -> None:
        """Others have written the row since the lookup read it: theirs counts."""
        known = flight.known
        self.changed(known, row)
        if not known.has_valid_policy(self._wall()):
            again = self._take_off(known, urgent=True)
            again.askers, flight.askers = flight.askers, []

    def _trust(self, known: Known, seconds: float) -> None:
        wall = self._wall()
        if known.held and known.held.is_valid(wall):
            seconds = min(seconds, known.held.end - wall)
        self.memory.trust(known, self.clock() + seconds)

    def _on_dns_error(self, known: Known, error: DNSError | None) -> bytes:
        since = known.failing_since
        return on_dns_error(
            self._setting,
            is_proven_attack=error is not None and error.ede is not None,
            was_enforced=known.held is not None and known.held.careful,
            failing_for=0.0 if since is None else self.clock() - since,
        )

    def _answer_all(self, flight: Flight) -> None:
        askers, flight.askers = flight.askers, []
        self._note_waits(askers)
        self.counts.waited += len(askers)
        for asker in askers:
            asker.give(self._from_memory(flight.known, asker.request, tlsrpt=asker.tlsrpt))

    def _be_late(self, flight: Flight) -> None:
        """Time is up for those who wait; the lookup goes on behind where it has begun."""
        known, progress = flight.known, flight.lookup.progress
        if known.flight is not flight or flight.is_behind:
            return
        if self._has_answer(known):
            self._go_behind(flight)
            self.counts.forced[Forced.DANE] += len(flight.askers)
            self._answer_all(flight)
            return
        match progress:
            case Progress.FETCH | Progress.DANE:
                flight.late = NOT_FOUND
            case Progress.DATABASE:
                flight.late = DATABASE_AWAY
            case _:
                known.failing_since = known.failing_since or self.clock()
                flight.late = self._on_dns_error(known, None)
        self._answer_forced(flight, _FORCED[progress], flight.late)
        if self._pool.cancel(flight.lookup):
            flight.end()
            self.flights.discard(flight)

    def _answer_forced(self, flight: Flight, reason: Forced, payload: bytes) -> None:
        askers, flight.askers = flight.askers, []
        self._note_waits(askers)
        for asker in askers:
            asker.give(self._forced(reason, payload))

    def _note_waits(self, askers: list[Asker]) -> None:
        now = self._loop.time()
        self.counts.waits.extend(now - asker.since for asker in askers)

    def _forced(self, reason: Forced, payload: bytes) -> bytes:
        self.counts.forced[reason] += 1
        self.counts.replies[kind(payload)] += 1
        return encode(payload)


def _same(one: Held | None, other: Held | None) -> bool:
    return other is None if one is None else one.says_the_same(other)


def _until(then: datetime | None, now: datetime) -> float:
    """Seconds to `then`; endless where there is no such time, or it has passed."""
    if then is None or then <= now:
        return float("inf")
    return (then - now).total_seconds()
