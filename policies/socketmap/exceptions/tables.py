"""Exceptions as a table for Postfix's `smtp_tls_policy_maps`, and such a table as exceptions.

The two do not say the same: a table knows no end, no reason and no MX patterns, and levels that
are none of ours. What cannot be said is a comment in one direction and refused in the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from policies.mtasts.domain import parse_domain
from policies.socketmap.exceptions.checking import Powers, Refused, check, split_match
from policies.socketmap.exceptions.rule import Action, Level, Rule, Scope
from policies.socketmap.reply import reply

LINES_LIMIT = 10_000
"""Entries read of one table; whoever has more has no exceptions but a policy of their own."""

LINE_LIMIT = 10_000
"""Characters of one entry."""

DEFAULT_MATCH = ("nexthop", "dot-nexthop")
"""Postfix's own `smtp_tls_secure_cert_match`, where an entry names nothing to match."""

_HEAD = """\
# Exceptions of mtastsweb as a table for smtp_tls_policy_maps (postmap(1) makes the index).
# "may" stands for skip: that is the same where smtp_tls_security_level is may.
"""

_OTHER_LEVELS = {
    "none": "it switches TLS off; the least that an exception can say is skip, which is may",
    "dane": "DANE is not ours to ask for: list the domain in MTASTS_DANE_DOMAINS",
    "dane-only": "DANE is not ours to ask for: list the domain in MTASTS_DANE_DOMAINS",
    "half-dane": "DANE is not ours to ask for: list the domain in MTASTS_DANE_DOMAINS",
    "fingerprint": "an exception cannot hold fingerprints of certificates",
    "verify": "it trusts the MX answer of DNS, which others can forge; use secure with names",
}


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a table: what it comes to, or why it cannot be an exception.

    `number`: of its first line, from 1.
    """

    number: int
    text: str
    rule: Rule | None = None
    problem: str = ""


def write(rules: Iterable[Rule], now: datetime) -> Iterator[str]:
    """A table of those that count now, each below a comment; the others as comments alone."""
    yield _HEAD
    for rule in sorted(rules, key=lambda rule: (rule.scope, rule.target)):
        end = f"until {rule.until:%Y-%m-%d %H:%M} UTC" if rule.until else "without end"
        about = f"{rule.action} {rule.shown_target}"
        yield f"\n# {about} {end}, for {rule.owner}: {rule.reason}\n"
        if not rule.is_active(now):
            yield f"# counts from {rule.since:%Y-%m-%d %H:%M} UTC on\n"
        elif entry := _entry(rule):
            yield f"{entry}\n"
        else:
            yield "# cannot be said in such a table\n"


def _entry(rule: Rule) -> str:
    """Key and value; empty where a table cannot say so."""
    if rule.scope not in (Scope.DOMAIN, Scope.SUFFIX):
        return ""
    name = parse_domain(rule.target.removeprefix("."))
    key = f".{name.ascii}" if rule.scope is Scope.SUFFIX else name.ascii
    match rule.action:
        case Action.SKIP:
            return f"{key} may"
        case Action.PIN if rule.policy is not None:
            told = reply(rule.policy, name, tlsrpt=False, policy_text="", edited=False)
            return f"{key} {told.decode().removeprefix('OK ')}"
        case Action.REQUIRE if rule.level is Level.ENCRYPT:
            return f"{key} encrypt"
        case Action.REQUIRE:
            return f"{key} secure match={':'.join(rule.match)} servername=hostname"
    return ""


def read(text: str, like: Rule, powers: Powers) -> list[Line]:
    """The entries of a table, each as an exception with the life and the words of `like`."""
    lines, seen = [], dict[tuple[Scope, str], int]()
    for number, entry in _entries(text):
        line = _line(number, entry, like, powers)
        if line.rule is not None:
            key = (line.rule.scope, line.rule.target)
            first = seen.setdefault(key, number)
            if first != number:
                problem = f"line {first} is about the same; Postfix would take one of them"
                line = replace(line, rule=None, problem=problem)
        lines.append(line)
        if len(lines) > LINES_LIMIT:
            lines[-1] = Line(number, "", problem=f"more than {LINES_LIMIT:,} entries: the rest")
            break
    return lines


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """Entries with the number of their first line: a line that begins with a blank goes on with
    the one before, comments and empty lines between them or not."""
    begun, parts = 0, list[str]()
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and parts:
            parts.append(line)
            continue
        if parts:
            yield begun, " ".join(parts)
        begun, parts = number, [line]
    if parts:
        yield begun, " ".join(parts)


def _line(number: int, text: str, like: Rule, powers: Powers) -> Line:
    shown = " ".join(text[:LINE_LIMIT].split())
    try:
        if len(text) > LINE_LIMIT:
            raise ValueError(f"more than {LINE_LIMIT:,} characters")
        key, *value = text.split(None, 1)
        rule = _with_value(_about(key, like), value[0] if value else "")
        return Line(number, shown, check(rule, powers))
    except Refused as refused:
        return Line(number, shown, problem=" ".join(refused.problems.values()))
    except ValueError as error:
        return Line(number, shown, problem=f"{error}.")


def _about(key: str, like: Rule) -> Rule:
    if key.startswith("["):
        raise ValueError(
            "a host in brackets is no policy domain; leave it in a table of Postfix's own"
        )
    if ":" in key:
        raise ValueError(
            "an exception is about a domain at every port; leave it in a table of Postfix's own"
        )
    scope = Scope.SUFFIX if key.startswith(".") else Scope.DOMAIN
    return replace(like, scope=scope, target=key)


def _with_value(rule: Rule, value: str) -> Rule:
    if "{" in value or "}" in value:
        raise ValueError("attributes in braces cannot be said")
    level, *attributes = re.split(r"[,\s]+", value.strip().strip(",")) if value.strip() else [""]
    level = level.lower()
    names = _match_of(attributes)
    match level:
        case "may" if not names:
            return replace(rule, action=Action.SKIP)
        case "encrypt" if not names:
            return replace(rule, action=Action.REQUIRE, level=Level.ENCRYPT)
        case "secure":
            found = names or DEFAULT_MATCH
            return replace(rule, action=Action.REQUIRE, level=Level.SECURE, match=found)
        case "may" | "encrypt":
            raise ValueError(f"match= has no meaning at the level {level}")
        case "":
            raise ValueError("there is no level behind the key")
    raise ValueError(_OTHER_LEVELS.get(level) or f"{level[:40]!r} is no level of Postfix's")


def _match_of(attributes: Iterable[str]) -> tuple[str, ...]:
    """What is to be matched. Raises ValueError for what an exception does not hold."""
    names: tuple[str, ...] = ()
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        match name.lower(), value.lower():
            case "match", _ if equals and value:
                names += split_match(value)
            case "servername", "hostname":
                continue  # goes with secure in any case
            case _:
                raise ValueError(f"{attribute[:80]!r} cannot be said in an exception")
    return names
