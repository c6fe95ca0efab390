"""What a source has, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from policies.mtasts import Domain, Policy


@dataclass(frozen=True, slots=True)
class Held:
    """A policy as another program held it. `fetched`: when it did so, as far as it says."""

    policy: Policy
    record_id: str
    fetched: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A domain; with the policy where the source has it."""

    domain: Domain
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """A line or row that was left out, and why."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Unreadable(Exception):
    """The file is not what it should be; the message says what was expected."""
