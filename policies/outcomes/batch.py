"""Results merged into what the tables hold; nothing here touches the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from policies.models.outcome import Outcome
from policies.mtasts import DomainNameError, parse_domain
from policies.tlsrpt import text
from policies.tlsrpt.failures import FALLBACK
from policies.tlsrpt.report import SessionFailure
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy

Kind = Outcome.Kind
Source = Outcome.Source


@dataclass(frozen=True, slots=True)
class Seen:
    """Lookups that ended in the same result, on the day of `at`.

    `at`: the last of them; `first`: the first, where that is another one. `resolver`: our own
    resolver failed and nothing was cached, so the domain is not to blame. `domain`: as rows of the
    cache name it; looked up in `result` where it is not given.
    """

    result: Result
    at: datetime
    count: int = 1
    first: datetime | None = None
    source: Source = Source.LOOKUP
    resolver: bool = False
    domain: str = ""


class PolicyKey(NamedTuple):
    """What tells policies apart, but for the domain. `digest` stands for the rest."""

    digest: str
    type: str
    lines: tuple[str, ...]
    mx: tuple[str, ...]

    @classmethod
    def make(
        cls, policy_type: str, lines: tuple[str, ...] = (), mx: tuple[str, ...] = ()
    ) -> PolicyKey:
        return cls(digest((policy_type, lines, mx)), policy_type, lines, mx)

    @property
    def unnamed(self) -> PolicyKey:
        """Its type alone."""
        return PolicyKey.make(self.type)


class RowKey(NamedTuple):
    """What tells rows of `Outcome` apart."""

    day: date
    kind: Kind
    domain: str
    source: Source
    policy: PolicyKey

    @property
    def pair(self) -> tuple[date, str]:
        return self.day, self.domain

    @property
    def stored(self) -> tuple[date, str, str, str]:
        """What tells rows of domains apart in the table."""
        return self.day, self.domain, str(self.source), self.policy.digest


class DetailKey(NamedTuple):
    """What tells the failure details of a row apart: the columns of `OutcomeFailure`."""

    result_type: str
    reason: str
    additional: str = ""
    sending_ip: str = ""
    receiving_ip: str = ""
    receiving_mx: str = ""
    receiving_helo: str = ""

    @property
    def is_fallback(self) -> bool:
        return _is_fallback(self.reason)


@dataclass(slots=True)
class Count:
    """How many, from when to when."""

    first: datetime
    last: datetime
    count: int = 0

    def add(self, count: int, first: datetime, last: datetime) -> None:
        self.count += count
        self.first = min(self.first, first)
        self.last = max(self.last, last)


@dataclass(slots=True)
class Row(Count):
    """What is to be added to a row of `Outcome`."""

    failed: int = 0
    fallbacks: int = 0
    details: dict[DetailKey, Count] = field(default_factory=dict)

    def absorb(self, other: Row) -> None:
        """Add all that `other` counts."""
        self.add(other.count, other.first, other.last)
        self.failed += other.failed
        self.fallbacks += other.fallbacks
        for key, detail in other.details.items():
            self.add_detail(key, detail.count, detail.first, detail.last)

    def add_detail(self, key: DetailKey, count: int, first: datetime, last: datetime) -> None:
        detail = self.details.setdefault(key, Count(first, last))
        detail.add(count, first, last)


Rows = dict[RowKey, Row]


def merge(seen: Iterable[Seen]) -> Rows:
    """What `seen` adds to each row. Equal policies add up, and equal failure details (RFC 8460
    section 4); each result counts for the UTC day of its own time."""
    rows: Rows = {}
    for one in seen:
        key, first = _row_key(one), one.first or one.at
        row = rows.get(key)
        if row is None:
            row = rows[key] = Row(first, one.at)
        row.add(one.count, first, one.at)
        failures = one.result.failures
        if failures and key.kind is not Kind.RESOLVER:
            row.failed += one.count
            row.fallbacks += one.count if _is_fallback(failures[0].reason_code) else 0
        for failure in failures:
            count = one.count * failure.failed_session_count
            row.add_detail(_detail_key(failure), count, first, one.at)
    return rows


def elsewhere(key: RowKey) -> RowKey:
    """Where a domain is counted that may have no row of its own: its policy stays unnamed."""
    return key._replace(kind=Kind.OTHER, domain="", policy=key.policy.unnamed)


def digest(key: tuple[object, ...]) -> str:
    """128 bits that stand for a key, in hexadecimal: one cannot be found to fit another's."""
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def _row_key(seen: Seen) -> RowKey:
    day = seen.at.astimezone(UTC).date()
    policy = _policy_key(seen.result.policy)
    domain = seen.domain or _domain(seen.result.policy.domain)
    key = RowKey(day, Kind.DOMAIN, domain, seen.source, policy)
    if seen.resolver:
        return elsewhere(key)._replace(kind=Kind.RESOLVER)
    if not seen.result.failures and policy.type == PolicyType.NO_POLICY_FOUND:
        return elsewhere(key)._replace(kind=Kind.NONE)
    return key if domain else elsewhere(key)


@lru_cache(maxsize=4096)
def _domain(name: str) -> str:
    """As rows of the cache name it; empty for what is no domain name."""
    try:
        return parse_domain(name).unicode
    except DomainNameError:
        return ""


def _policy_key(policy: ResultPolicy) -> PolicyKey:
    return _key_of(str(policy.type), policy.string, policy.mx_host)


@lru_cache(maxsize=2048)
def _key_of(policy_type: str, lines: tuple[str, ...], mx: tuple[str, ...]) -> PolicyKey:
    # By what it says and not by its domain: all domains without a policy have one key.
    return PolicyKey.make(
        text.code(policy_type, 32),
        tuple(map(text.line, lines)),
        tuple(text.code(pattern, 255) for pattern in mx),
    )


def _detail_key(failure: FailureDetails) -> DetailKey:
    key = DetailKey(text.code(str(failure.result_type), 64), _reason(failure.reason_code))
    if not isinstance(failure, SessionFailure):
        return key
    return key._replace(
        additional=text.code(failure.additional_information, 1000),
        sending_ip=text.code(failure.sending_mta_ip, 64),
        receiving_ip=text.code(failure.receiving_ip, 64),
        receiving_mx=text.code(failure.receiving_mx_hostname, 255),
        receiving_helo=text.code(failure.receiving_mx_helo, 255),
    )


def _reason(reason: str) -> str:
    """Cut where it is too long, but for the suffix that tells of the fallback."""
    if not _is_fallback(reason):
        return text.code(reason, 255)
    suffix = f"+{FALLBACK}" if reason != FALLBACK else FALLBACK
    return text.code(reason.removesuffix(suffix), 255 - len(suffix)) + suffix


def _is_fallback(reason: str) -> bool:
    return reason.rpartition("+")[2] == FALLBACK
