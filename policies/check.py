"""A check of a domain: every stage of a lookup, told as it ends, and nothing stored.

DNS and the policy host are asked as for a lookup, with the same limits. What the cache holds comes
in as an argument; no database is asked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from policies import rows
from policies.advice import advice
from policies.decide import Cached
from policies.findings import Fact, Finding, Report, Stage, State, shown_text, shown_time
from policies.mtasts import Domain, Mode, Policy, Record, select_record
from policies.mtasts.addresses import is_allowed
from policies.mtasts.dns import Answer, Resolver
from policies.mtasts.ede import VALIDATION_FAILURES
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    DomainNameError,
    FetchError,
    MTASTSError,
    NoRecordError,
    PolicySyntaxError,
    RecordError,
)
from policies.mtasts.https import PolicyFetcher, Step, StepKind
from policies.mtasts.tls import PeerCertificate
from policies.mtasts.txt import as_written, joined
from policies.socketmap.dane import DaneCheck, Verdict
from policies.socketmap.domainfile import DomainFile
from policies.tlsrpt import words
from policies.tlsrpt.failures import failure_details
from policies.verdict import Found, report

if TYPE_CHECKING:
    from mtastsweb.environment import Environment, OnDNSError
    from policies.decide import Fetched, Look
    from policies.models import PolicyRecord

Tell = Callable[[Finding], None]
"""Called when a stage has ended, and again where more is known of it."""

REMEMBERED = timedelta(days=30)
"""How long an enforce policy that has ended still calls for care where DNS fails."""

RENEWED_BY = timedelta(days=7)
"""Certificates that end within so long should have been renewed."""

SHORT_MAX_AGE = 86_400
"""Seconds. RFC 8461 section 3.2 expects weeks; below a day a policy protects little."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a check asks with, and the settings that its answers depend on."""

    resolver: Resolver
    fetcher: PolicyFetcher
    dane: DaneCheck
    on_dns_error: OnDNSError
    deadline: float
    """Seconds within which every check ends."""


@cache
def tools(environment: Environment) -> Tools:
    """Those that the settings describe; made once for each set of them."""
    nameservers = tuple(map(str, environment.nameservers))
    resolver = Resolver(nameservers, timeout=environment.dns_timeout)
    fetcher = PolicyFetcher(
        resolver,
        port=environment.policy_port,
        timeout=environment.fetch_timeout,
        ca_file=str(environment.ca_file) if environment.ca_file else None,
        allow_private=environment.allow_private_addresses,
        proxy=environment.proxy,
        contact=environment.contact or None,
    )
    listed = environment.dane_domains_file
    dane = DaneCheck(resolver, environment.socketmap_dane, DomainFile(listed) if listed else None)
    # A TXT query, a fetch and a look at DANE, each with a deadline of its own.
    deadline = environment.dns_timeout + environment.fetch_timeout + 10.0
    return Tools(resolver, fetcher, dane, environment.socketmap_on_dns_error, deadline)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the cache holds of a domain; all empty where there is no row.

    `cached`: None where nothing valid is held. `was_enforced`: an enforce policy was in force in
    the last 30 days.
    """

    cached: Cached | None = None
    valid_end: datetime | None = None
    was_enforced: bool = False


def kept(row: PolicyRecord | None, now: datetime) -> Kept:
    """What a row of the cache says."""
    if row is None:
        return Kept()
    return Kept(rows.cached(row, now), row.valid_end, row.held_enforce_since(now - REMEMBERED))


def run(name: Domain, given: Tools, held: Kept, tell: Tell) -> Report:
    """Look at all of a domain. What goes wrong is told and reported, never raised."""
    teller = _Teller(tell)
    look = _look(name, given.resolver, teller)
    fetched = _fetch(name, given.fetcher, teller) if isinstance(look, Record) else None
    dane = _dane(name, given.dane, teller) if _may_enforce(fetched, held.cached) else None
    found = Found(look, fetched, dane, held.cached, held.valid_end, held.was_enforced)
    return report(name, found, given.on_dns_error, datetime.now(UTC))


class _Teller:
    """Tells findings, with the time each stage took, and remembers them."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._since = time.monotonic()
        self._told: dict[Stage, Finding] = {}

    def tell(self, stage: Stage, state: State, word: str, *facts: Fact) -> None:
        now = time.monotonic()
        self._say(Finding(stage, state, word, facts, took=now - self._since))
        self._since = now

    def fail(self, stage: Stage, word: str, error: MTASTSError, *facts: Fact) -> None:
        """The stage, told of before or not, ends in this error."""
        now = time.monotonic()
        before = self._told.get(stage, Finding(stage, State.BAD, word))
        self._say(
            replace(
                before,
                state=State.IDLE if isinstance(error, NoRecordError) else State.BAD,
                word=word,
                facts=(*before.facts, *facts),
                took=before.took + now - self._since,
                problem=_said(error),
                seen=str(error) if isinstance(error, FetchError) else "",
                code=str(failure_details(error)),
                advice=advice(error),
            )
        )
        self._since = now

    def add_text(self, text: str, bad_line: int = 0, note: str = "") -> None:
        """The policy stage shows this text. `note`: what is odd about a policy that is valid."""
        before = self._told[Stage.POLICY]
        shown = shown_text(text, bad_line)
        left_out = text.count("\n") - shown.count("\n")
        facts = (Fact.of("Not shown", f"{left_out} more lines"),) if left_out > 1 else ()
        self._say(
            replace(
                before,
                text=shown,
                bad_line=bad_line,
                facts=(*before.facts, *facts),
                problem=note or before.problem,
                state=State.WARN if note else before.state,
            )
        )

    def _say(self, finding: Finding) -> None:
        self._told[finding.stage] = finding
        self._tell(finding)


def _said(error: MTASTSError) -> str:
    """What is wrong, in words. What libraries say of a fetch is for those who know them."""
    if isinstance(error, PolicySyntaxError):
        return error.problem
    if not isinstance(error, FetchError):
        return str(error)
    failure = failure_details(error)
    outcome = words.outcome("sts", failure.result_type, failure.reason_code)
    return outcome.words if outcome else str(error)


def _look(name: Domain, resolver: Resolver, teller: _Teller) -> Look:
    try:
        asked = name.record_name
    except DomainNameError as error:
        failure = NoRecordError(str(error))
        teller.fail(Stage.TXT, "not asked", failure)
        return failure
    try:
        answer = resolver.query(asked, "TXT")
    except DNSError as error:
        teller.fail(Stage.TXT, "no answer", error, *_dns_failure_facts(asked, error))
        return error
    teller.tell(Stage.TXT, State.OK, "answered", *_txt_facts(asked, answer))
    try:
        record = select_record(joined(answer))
    except RecordError as error:
        word = "none" if isinstance(error, NoRecordError) else "not usable"
        teller.fail(Stage.RECORD, word, error)
        return error
    extensions = [f"{key}={value}" for key, value in record.extensions]
    teller.tell(
        Stage.RECORD,
        State.OK,
        "found",
        Fact.of("Version", record.version),
        Fact.of("Id", record.id),
        Fact.of("Extensions", *(extensions or ["none"])),
    )
    return record


def _dns_failure_facts(asked: str, error: DNSError) -> list[Fact]:
    facts = [Fact.of("Asked for", f"{asked} TXT")]
    if error.ede is not None:
        facts.append(Fact.of("Extended error", f"{error.ede} {VALIDATION_FAILURES[error.ede]}"))
    return facts


def _txt_facts(asked: str, answer: Answer) -> list[Fact]:
    facts = [Fact.of("Asked for", f"{asked} TXT")]
    if answer.canonical and answer.canonical != asked.removesuffix("."):
        facts.append(Fact.of("Alias of", answer.canonical))
    nothing = "no TXT record" if answer.exists else "there is no such name"
    facts.append(Fact.of("Answer", *(as_written(answer) or [nothing])))
    facts.append(Fact.of("TTL", f"{answer.ttl} s"))
    facts.append(Fact.of("DNSSEC", "proven by the resolver" if answer.authentic else "not proven"))
    return facts


def _fetch(name: Domain, fetcher: PolicyFetcher, teller: _Teller) -> Fetched:
    watch = _FetchWatch(fetcher, teller)
    try:
        fetched = fetcher.fetch(name, watch.step)
    except PolicySyntaxError as error:
        teller.fail(Stage.POLICY, "does not parse", error, Fact.of("Line", str(error.line)))
        teller.add_text(error.received, error.line)
        return error
    except FetchError as error:
        watch.failed(error)
        return error
    teller.tell(Stage.POLICY, State.OK, "valid", *_policy_facts(fetched.policy))
    teller.add_text(fetched.text, note=_odd(fetched.policy))
    return fetched


class _FetchWatch:
    """Turns the steps of a fetch into findings, and knows at which stage it fails."""

    def __init__(self, fetcher: PolicyFetcher, teller: _Teller) -> None:
        self._fetcher = fetcher
        self._teller = teller
        self._next = Stage.CONNECTION if fetcher.proxy else Stage.ADDRESSES

    def step(self, step: Step) -> None:
        match step.kind:
            case StepKind.ADDRESSES:
                self._addresses(step.detail.split(", "))
            case StepKind.CONNECTED:
                self._next = Stage.CERTIFICATE
                port = str(self._fetcher.port)
                facts = (Fact.of("Address", step.detail), Fact.of("Port", port))
                self._teller.tell(Stage.CONNECTION, State.OK, "connected", *facts)
            case StepKind.CERTIFICATE if step.certificate is not None:
                self._next = Stage.HTTP
                self._certificate(step.certificate)
            case StepKind.STATUS:
                self._next = Stage.POLICY
                headers = (Fact.of(header, value) for header, value in step.headers)
                status = Fact.of("Status", step.detail)
                self._teller.tell(Stage.HTTP, State.OK, "answered", status, *headers)

    def failed(self, error: FetchError) -> None:
        stage = self._stage_of(error)
        self._teller.fail(stage, "refused" if stage is Stage.CERTIFICATE else "failed", error)

    def _stage_of(self, error: FetchError) -> Stage:
        if isinstance(error, CertificateError):
            return Stage.CERTIFICATE
        if error.reason == "address-not-allowed":
            return Stage.ADDRESSES
        if error.reason.startswith(("http-", "content-", "no-policy-")) and (
            self._next is Stage.POLICY
        ):
            return Stage.HTTP
        return self._next

    def _addresses(self, found: list[str]) -> None:
        self._next = Stage.CONNECTION
        private = self._fetcher.allow_private
        allowed = {address: is_allowed(address, private) for address in found}
        shown = [
            address if allowed[address] else f"{address} (private or reserved: not connected to)"
            for address in found
        ]
        state = State.OK if all(allowed.values()) else State.WARN
        self._teller.tell(Stage.ADDRESSES, state, "found", Fact.of("Addresses", *shown))

    def _certificate(self, shown: PeerCertificate) -> None:
        is_old = shown.not_after - datetime.now(UTC) < RENEWED_BY
        self._teller.tell(
            Stage.CERTIFICATE,
            State.WARN if is_old else State.OK,
            "ends soon" if is_old else "verified",
            Fact.of("Issuer", shown.issuer or "not named"),
            Fact.of("Names", *(shown.names or ("none that counts (DNS-ID)",))),
            Fact.of("Valid from", shown_time(shown.not_before)),
            Fact.of("Valid until", shown_time(shown.not_after)),
        )


def _policy_facts(policy: Policy) -> list[Fact]:
    facts = [
        Fact.of("Version", policy.version),
        Fact.of("Mode", str(policy.mode)),
        Fact.of("MX patterns", *(map(str, policy.mx[:50]) if policy.mx else ["none"])),
        Fact.of("max_age", f"{policy.max_age} s"),
    ]
    extensions = [f"{key}: {value}" for key, value in policy.extensions[:50]]
    return [*facts, Fact.of("Extensions", *(extensions or ["none"]))]


def _odd(policy: Policy) -> str:
    """What is allowed, and all the same no good."""
    addresses = [str(pattern) for pattern in policy.mx if pattern.is_address]
    if addresses:
        return (
            f"{', '.join(addresses[:5])} is shaped like an IP address and matches no mail host;"
            " name the host instead (RFC 8461 section 4.1)."
        )
    if policy.mode is not Mode.NONE and policy.max_age < SHORT_MAX_AGE:
        return (
            "max_age is less than a day: whoever can suppress the TXT record for so long defeats"
            " the policy. Weeks are usual (RFC 8461 section 3.2)."
        )
    return ""


def _may_enforce(fetched: Fetched | None, cached: Cached | None) -> bool:
    """Whether an enforce policy would be answered, now or from the cache."""
    fresh = None if fetched is None or isinstance(fetched, MTASTSError) else fetched.policy
    held = cached.policy if cached else None
    return any(policy is not None and policy.mode is Mode.ENFORCE for policy in (fresh, held))


def _dane(name: Domain, dane: DaneCheck, teller: _Teller) -> Verdict:
    """Whether DANE has precedence (RFC 8461 section 2)."""
    verdict = dane.check(name)
    wins = verdict.override is not None
    fact = Fact.of("Found", verdict.finding.value)
    word = "has precedence" if wins else "does not apply"
    teller.tell(Stage.DANE, State.OK if wins else State.IDLE, word, fact)
    return verdict
