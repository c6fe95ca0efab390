"""What an exception says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from policies.mtasts.policy import Policy


class Scope(StrEnum):
    """What an exception is about."""

    DOMAIN = "domain"
    """One policy domain."""
    SUFFIX = "suffix"
    """All names below one, at any depth; not the name itself."""
    MX = "mx"
    """Every policy with an mx pattern like this one, or under it."""
    EVERYTHING = "everything"
    """All domains: enforcement is paused."""


class Action(StrEnum):
    """What Postfix is told."""

    SKIP = "skip"
    """NOTFOUND: as if there were no policy."""
    ENFORCE = "enforce"
    """A policy of mode testing counts as enforce."""
    PIN = "pin"
    """This policy text, whatever is published."""
    REQUIRE = "require"
    """TLS at a level of ours, where no policy enforces."""


class Level(StrEnum):
    """What `require` asks for, in Postfix's words."""

    ENCRYPT = "encrypt"
    SECURE = "secure"


@dataclass(frozen=True, slots=True)
class Rule:
    """One exception.

    `target`: a domain as rows of the cache name it, the same behind a dot for a suffix, an MX
    pattern in A-labels, or empty for everything. `policy_text`: of a pin; `policy` is what it
    parses to. `level`, `match`: of a requirement. It counts from `since` up to, not including,
    `until`; None is without end. `id`: of its row, 0 for none.
    """

    scope: Scope
    target: str
    action: Action
    since: datetime
    until: datetime | None
    reason: str = ""
    owner: str = ""
    policy_text: str = ""
    level: Level | None = None
    match: tuple[str, ...] = ()
    id: int = 0
    policy: Policy | None = field(default=None, compare=False, repr=False)

    def is_active(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)

    def is_coming(self, now: datetime) -> bool:
        return now < self.since and (self.until is None or now < self.until)

    @property
    def shown_target(self) -> str:
        """For people: what it is about."""
        return self.target or "everything"
