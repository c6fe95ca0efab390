"""The policy text that a policy host serves (RFC 8461 section 3.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from policies.mtasts.domain import parse_host
from policies.mtasts.errors import DomainNameError, PolicySyntaxError
from policies.mtasts.grammar import NAME, WSP, quoted, to_bytes
from policies.mtasts.mx import MXPattern, parse_mx

MAX_AGE_LIMIT = 31_557_600
"""Seconds. A longer max_age is legal on the wire and held to this year of 365.25 days."""

# sts-policy-vchar and the blank: C0 and DEL are out; C1 is UTF8-2 and so belongs to it.
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

# The fields that appear once: what their value looks like, and how to say so.
_ONCE = {
    "version": (re.compile(r"STSv1"), "'STSv1'"),
    "mode": (re.compile(r"enforce|testing|none"), "'enforce', 'testing' or 'none'"),
    "max_age": (re.compile(r"[0-9]{1,10}"), "1 to 10 digits, in seconds"),
}


class Mode(StrEnum):
    """What a sender does with a host that fails the policy (RFC 8461 section 5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. `max_age` is in seconds, `mx` and `extensions` are in the order published.

    `str()` renders a text that parses back to an equal policy.
    """

    version: str
    mode: Mode
    mx: list[MXPattern]
    max_age: int
    extensions: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A policy that comes from a database row brings plain strings, and lists for pairs.
        object.__setattr__(self, "mode", Mode(self.mode))
        object.__setattr__(self, "mx", [MXPattern(pattern) for pattern in self.mx])
        object.__setattr__(self, "extensions", [(name, value) for name, value in self.extensions])

    def __str__(self) -> str:
        fields = [
            ("version", self.version),
            ("mode", self.mode),
            *(("mx", pattern) for pattern in self.mx),
            ("max_age", self.max_age),
            *self.extensions,
        ]
        return "".join(f"{name}: {value}\n" for name, value in fields)

    def matches(self, host: str) -> bool:
        """Whether the MX `host` fits one of the patterns (RFC 8461 section 4.1).

        `host` is an A- or U-label name in any case, with one trailing dot at most. What is no
        host name, an IP address included, fits none.
        """
        try:
            name = parse_host(host)
        except DomainNameError:
            return False
        return any(pattern.matches(name) for pattern in self.mx)


def parse_policy(text: str | bytes) -> Policy:
    """The policy in `text`.

    The first of several fields of one name counts, "mx" apart; unknown ones are extensions.
    Raises PolicySyntaxError.
    """
    lines = _lines(to_bytes(text))
    values: dict[str, str] = {}
    mx: list[MXPattern] = []
    for number, line in enumerate(lines, start=1):
        try:
            name, value = _name_and_value(line)
            if name == "mx":
                mx.append(parse_mx(value))
            elif name not in values:
                values[name] = _checked(name, value)
        except ValueError as error:
            raise PolicySyntaxError(str(error), line=number) from None
    _check_complete(values, mx, last_line=max(len(lines), 1))
    return Policy(
        version=values["version"],
        mode=Mode(values["mode"]),
        mx=mx,
        max_age=min(int(values["max_age"]), MAX_AGE_LIMIT),
        extensions=[(name, value) for name, value in values.items() if name not in _ONCE],
    )


def _lines(data: bytes) -> list[bytes]:
    """The lines without their ends, LF or CRLF. A CR elsewhere is left in for the reader to refuse.

    The last line's end is optional.
    """
    *ended, rest = data.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in ended]
    return [*lines, rest] if rest else lines


def _name_and_value(line: bytes) -> tuple[str, str]:
    """Name and value of a line; raises ValueError."""
    if not line:
        raise ValueError("expected 'name: value', found an empty line")
    raw_name, colon, rest = line.partition(b":")
    if not colon or not NAME.fullmatch(raw_name):
        raise ValueError(
            f"expected 'name: value' with a name of 1 to 32 letters, digits, '_', '-', '.',"
            f" found {quoted(line)}"
        )
    name, raw_value = raw_name.decode("ascii"), rest.strip(WSP)
    if not raw_value:
        raise ValueError(f"expected a value for {name!r}, found none")
    if _CONTROL.search(raw_value):
        raise ValueError(
            f"expected a value of {name!r} without control characters, found {quoted(raw_value)}"
        )
    try:
        return name, raw_value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"expected a value of {name!r} in UTF-8, found {quoted(raw_value)}"
        ) from None


def _checked(name: str, value: str) -> str:
    """`value`, if the field `name` may have it; raises ValueError."""
    if name in _ONCE:
        pattern, expected = _ONCE[name]
        if not pattern.fullmatch(value):
            raise ValueError(f"expected {expected} for {name!r}, found {quoted(value.encode())}")
    return value


def _check_complete(values: dict[str, str], mx: list[MXPattern], *, last_line: int) -> None:
    missing = [name for name in _ONCE if name not in values]
    if not mx and values.get("mode", Mode.NONE) != Mode.NONE:
        missing.append("mx")
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise PolicySyntaxError(f"expected {names}, found the end of the policy", line=last_line)
