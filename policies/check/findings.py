"""What a check of a domain finds, ready to be shown: stages, facts, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from policies.check.advice import Advice

SHOWN_LINES = 400
"""Lines of a policy text that are shown; 64 KiB may be as many line ends."""

SHOWN_VALUE = 500
"""Characters of one value: what others choose must not fill the page."""


class Stage(StrEnum):
    """The stages of a check, in their order."""

    TXT = "TXT query"
    RECORD = "Record"
    ADDRESSES = "Policy host"
    CONNECTION = "Connection"
    CERTIFICATE = "TLS certificate"
    HTTP = "HTTP answer"
    POLICY = "Policy"
    MAIL_HOSTS = "Mail hosts"
    DANE = "DANE"


class State(StrEnum):
    """How a stage ended: the kind of its badge."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something seen, verbatim, one value a line."""

    label: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, label: str, *values: str) -> Fact:
        """With values too long to be shown cut short."""
        return cls(label, tuple(_shortened(value) for value in values))


@dataclass(frozen=True, slots=True)
class Finding:
    """How one stage ended.

    `word`: the badge's. `took`: seconds. `problem`: what is wrong, empty where nothing is; `seen`:
    what was met, verbatim; `code`: the same as a TLS report has it. `text`: a policy text, its
    `bad_line` counted from 1.
    """

    stage: Stage
    state: State
    word: str
    facts: tuple[Fact, ...] = ()
    took: float = 0.0
    problem: str = ""
    seen: str = ""
    code: str = ""
    advice: Advice | None = None
    text: str = ""
    bad_line: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What Postfix gets when it asks the map of this name: now found, and from the cache.

    `fresh_later`, `cached_later`: what it gets once DNS has failed for a day, where that differs.
    """

    name: str
    fresh: str
    cached: str
    fresh_later: str = ""
    cached_later: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check comes to.

    `verdict`: in plain words. `cached`: what the cache holds, in words. `result`,
    `cached_result`: what a TLS report would say (RFC 8460 section 4.4), as JSON.
    `has_record`: a refetch would find a record, and store what it fetches. `is_reported`: False
    where DNS fails and nothing is cached, for it may be our resolver's fault. `exception`: which
    one counts, in words, empty for none. `is_listed`: the domain is one of MTASTS_DANE_DOMAINS.
    """

    state: State
    verdict: str
    cached: str
    replies: tuple[Reply, ...]
    result: str
    cached_result: str
    has_record: bool
    is_reported: bool
    exception: str = ""
    is_listed: bool = False

    @property
    def word(self) -> str:
        """The verdict's badge."""
        return _WORDS[self.state]


_WORDS = {
    State.OK: "in order",
    State.WARN: "in order, but",
    State.BAD: "fails",
    State.IDLE: "no policy in force",
}


def shown_text(text: str, bad_line: int = 0) -> str:
    """As much of a policy text as is shown: its beginning, and the marked line in any case."""
    lines = text.split("\n")
    kept = lines[: max(SHOWN_LINES, bad_line)]
    return "\n".join(kept)


def shown_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shortened(value: str) -> str:
    return value if len(value) <= SHOWN_VALUE else f"{value[:SHOWN_VALUE]}…"
