"""What a row of the cache says, as small as answers need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from policies.decide import policy_result
from policies.models.policy import held_enforce_since
from policies.mtasts import Domain, Mode, MXPattern, Policy
from policies.socketmap.reply import reply

if TYPE_CHECKING:
    from policies.models import PolicyRecord
    from policies.tlsrpt.result import Result

REMEMBERED = timedelta(days=30)
"""How long an enforce policy that has ended still calls for care where DNS fails."""

AT_ONCE = timedelta(seconds=60)
"""How long a policy of max_age 0, which ends at once, is answered from memory."""


@dataclass(frozen=True, slots=True)
class Held:
    """One row, expired or not.

    `mode`: empty while backing off. `end`: POSIX time until which it counts. `careful`: an
    enforce policy was in force in the last 30 days.
    """

    mode: str
    mx: tuple[str, ...]
    text: str
    edited: bool
    end: float
    careful: bool

    @property
    def has_policy(self) -> bool:
        return bool(self.mode)

    def is_valid(self, now: float) -> bool:
        return now < self.end

    def says_the_same(self, other: Held | None) -> bool:
        """Whether Postfix would get the same bytes from both, while both are valid."""
        return other is not None and _said(self) == _said(other)

    def is_as_good_as(self, other: Held | None) -> bool:
        """Whether what was answered from `other` can be answered from this one as well."""
        return other is not None and self.says_the_same(other) and self.end >= other.end

    def reply(self, name: Domain, *, tlsrpt: bool) -> bytes:
        """What Postfix gets while the policy is valid."""
        return reply(self.policy(), name, tlsrpt=tlsrpt, policy_text=self.text, edited=self.edited)

    def result(self, name: Domain) -> Result:
        """The TLSRPT result of a use while nothing fails."""
        return _result(name.ascii, self.mode, self.mx, "" if self.edited else self.text)

    def policy(self) -> Policy:
        """The policy that it says, without its extensions."""
        return _policy(self.mode, self.mx)


def _policy(mode: str, mx: tuple[str, ...]) -> Policy:
    patterns = [MXPattern(pattern) for pattern in mx]
    return Policy(version="STSv1", mode=Mode(mode), mx=patterns, max_age=0, extensions=[])


@lru_cache(maxsize=4096)
def _result(name: str, mode: str, mx: tuple[str, ...], text: str) -> Result:
    # Every two seconds that of each domain in use is asked for, and they seldom change.
    return policy_result(name, _policy(mode, mx), text)


class Columns(NamedTuple):
    """Those columns of a row that `held` looks at, and its name.

    Read by the hundred while mail servers are answered, where whole rows would take Python three
    times as long.
    """

    domain: str
    backoff: bool
    mode: str
    mx: list[str]
    policy_text: str
    edited: datetime | None
    valid_end: datetime
    max_age: int
    held_mode: str
    held_end: datetime | None
    last_use_key: datetime


def held(row: PolicyRecord | Columns, now: datetime) -> Held:
    """What `row` says at `now`."""
    return Held(
        mode="" if row.backoff else str(row.mode),
        mx=() if row.backoff else _patterns(row.mx),
        text="" if row.backoff else row.policy_text,
        edited=row.edited is not None,
        end=(row.valid_end + (timedelta(0) if row.max_age else AT_ONCE)).timestamp(),
        careful=held_enforce_since(row, now - REMEMBERED),
    )


def _patterns(mx: object) -> tuple[str, ...]:
    """Whatever JSON was written into the row; what is no list names no host."""
    return tuple(map(str, mx)) if isinstance(mx, list) else ()


def _said(held: Held) -> tuple[str, tuple[str, ...], str, bool]:
    return held.mode, held.mx, held.text, held.edited
