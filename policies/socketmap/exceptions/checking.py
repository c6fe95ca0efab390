"""Whether an exception may be: one set of rules for forms, admin, commands, import and memory.

What was typed comes back in the form that is stored and compared. What is wrong is told field by
field, with what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from policies.mtasts.domain import ends_in_number, is_ldh_name, parse_domain
from policies.mtasts.errors import DomainNameError, PolicySyntaxError
from policies.mtasts.mx import parse_mx
from policies.mtasts.policy import Mode, Policy, parse_policy
from policies.socketmap.exceptions.rule import Action, Level, Rule, Scope
from policies.socketmap.reply import reply, required

MOST_DAYS = 366
"""The longest life of an exception by whoever may not make one without end."""

LONGEST_PAUSE = timedelta(hours=24)

TEXT_LIMIT = 65_536
"""Bytes of a pinned text, as of a served one."""

MATCHES_LIMIT = 100
REASON_LIMIT = 500
OWNER_LIMIT = 150
_EARLIEST, _LATEST = 2000, 9000
"""Years between which times lie, so that every database and time zone can have them."""

_WORDS = frozenset({"nexthop", "dot-nexthop"})

_ACTIONS = {
    Scope.DOMAIN: frozenset(Action),
    Scope.SUFFIX: frozenset(Action),
    Scope.MX: frozenset({Action.SKIP, Action.ENFORCE}),
    Scope.EVERYTHING: frozenset({Action.SKIP}),
}
"""What can be said of what. A pattern finds domains by their policies, so it cannot give them
one; for all domains there is only the pause."""


class Refused(ValueError):
    """An exception that may not be. `problems`: by the name of the field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = dict(problems)


@dataclass(frozen=True, slots=True)
class Powers:
    """What somebody may do beyond ordinary exceptions: leave out the end, pause everything."""

    endless: bool = False
    pause: bool = False


ALL = Powers(endless=True, pause=True)


def check(rule: Rule, powers: Powers = ALL) -> Rule:
    """The same exception in the form in which it is stored. Raises Refused."""
    problems: dict[str, str] = {}
    checked = _with_target(rule, problems)
    checked = _with_action(checked, problems)
    checked = _with_words(checked, problems)
    _check_life(checked, powers, problems)
    if problems:
        raise Refused(problems)
    return checked


def target(scope: Scope, typed: str) -> str:
    """What `typed` means as a target of this scope. Raises ValueError, saying what is wrong."""
    typed = typed.strip()
    match scope:
        case Scope.DOMAIN:
            return parse_domain(typed).unicode
        case Scope.SUFFIX:
            if not typed.startswith("."):
                raise DomainNameError("a suffix begins with a dot, such as .example.com")
            return f".{parse_domain(typed[1:]).unicode}"
        case Scope.MX:
            return _mx_target(typed)
        case Scope.EVERYTHING:
            if typed:
                raise ValueError("leave it empty: the exception is about everything")
            return ""


def _mx_target(typed: str) -> str:
    """`host`, or `*.name` for all under that name; `.name` means the latter as well."""
    star = typed.startswith(("*.", "."))
    name = parse_domain(typed.removeprefix("*").removeprefix(".") if star else typed).ascii
    return f"*.{name}" if star else name


def _with_target(rule: Rule, problems: dict[str, str]) -> Rule:
    try:
        return replace(rule, target=target(rule.scope, rule.target))
    except ValueError as error:
        problems["target"] = f"{error}."
        return rule


def _with_action(rule: Rule, problems: dict[str, str]) -> Rule:
    """With what belongs to the action, and nothing of what belongs to others."""
    if rule.action not in _ACTIONS[rule.scope]:
        problems["action"] = _not_for(rule)
        return rule
    bare = replace(rule, policy_text="", policy=None, level=None, match=())
    match rule.action:
        case Action.PIN:
            return _pinned(bare, rule.policy_text, problems)
        case Action.REQUIRE:
            return _requiring(bare, rule.level, rule.match, problems)
        case Action.SKIP | Action.ENFORCE:
            return bare


def _not_for(rule: Rule) -> str:
    if rule.scope is Scope.EVERYTHING:
        return "everything can be paused (skip) and nothing else."
    return (
        f"{rule.action} is for domains and suffixes: an MX pattern finds policies that there are,"
        " so it can skip or enforce them."
    )


def _pinned(rule: Rule, text: str, problems: dict[str, str]) -> Rule:
    text = text.replace("\r\n", "\n")
    try:
        if len(text.encode("utf-8", "surrogatepass")) > TEXT_LIMIT:
            raise PolicySyntaxError(f"more than {TEXT_LIMIT} bytes", line=1)
        policy = parse_policy(text.encode("utf-8", "surrogatepass"))
    except PolicySyntaxError as error:
        what = f"line {error.line}: {error.problem}." if text.strip() else "it is empty."
        problems["policy_text"] = f"A pin needs a policy text (RFC 8461 section 3.2); {what}"
        return rule
    if problem := _cannot_be_pinned(policy):
        problems["policy_text"] = problem
    return replace(rule, policy_text=text, policy=policy)


def _cannot_be_pinned(policy: Policy) -> str:
    if policy.mode is not Mode.ENFORCE:
        return (
            f"This text says mode: {policy.mode}, which holds Postfix to nothing. Pin one of mode"
            " enforce, or use skip."
        )
    name = parse_domain("example.com")
    payload = reply(policy, name, tlsrpt=False, policy_text="", edited=False)
    if not payload.startswith(b"OK "):
        return f"Postfix could not use it: {payload.decode().removeprefix('TEMP ')}."
    return ""


def _requiring(
    rule: Rule, level: Level | None, match: tuple[str, ...], problems: dict[str, str]
) -> Rule:
    if level is None:
        problems["level"] = "Choose a level: encrypt (any certificate) or secure (verified)."
        return rule
    if level is Level.ENCRYPT:
        if match:
            problems["match"] = "Names to match belong to the level secure; encrypt verifies none."
        return replace(rule, level=level)
    names = []
    for typed in match[: MATCHES_LIMIT + 1]:
        try:
            names.append(match_name(typed))
        except ValueError as error:
            problems["match"] = f"{error}."
    if not match:
        problems["match"] = (
            "The level secure needs names for the certificate to hold: host names, .example.com"
            " for all below it, nexthop or dot-nexthop."
        )
    elif len(match) > MATCHES_LIMIT:
        problems["match"] = f"At most {MATCHES_LIMIT} names."
    found = tuple(dict.fromkeys(names))
    if "match" not in problems and not required(level, found).startswith(b"OK "):
        problems["match"] = "These names together are too long for Postfix."
    return replace(rule, level=level, match=found)


def match_name(typed: str) -> str:
    """One name of Postfix's `match`, in A-labels. Raises ValueError, saying what is wrong."""
    typed = typed.strip()
    lower = typed.lower()
    if lower in _WORDS:
        return lower
    if lower == "hostname":
        raise ValueError(
            "'hostname' trusts the MX answer of DNS, which others on the way can forge; name the"
            " hosts, or use nexthop"
        )
    dot = "." if typed.startswith((".", "*.")) else ""
    bare = typed.removeprefix("*").removeprefix(".") if dot else typed
    name = parse_domain(bare).ascii
    parse_mx(name)
    if not is_ldh_name(name) or ends_in_number(name):  # parse_domain has refused both
        raise ValueError(f"{typed!r} is no host name")
    return dot + name


def split_match(typed: str) -> tuple[str, ...]:
    """The names in one text, apart by colons, commas, blanks or line ends."""
    return tuple(typed.replace(":", " ").replace(",", " ").split())


def _with_words(rule: Rule, problems: dict[str, str]) -> Rule:
    reason, owner = _one_line(rule.reason), _one_line(rule.owner)
    if not reason:
        problems["reason"] = "Say why, for whoever looks at this next."
    elif len(reason) > REASON_LIMIT:
        problems["reason"] = f"At most {REASON_LIMIT} characters."
    if not owner:
        problems["owner"] = "Say who answers for it."
    elif len(owner) > OWNER_LIMIT:
        problems["owner"] = f"At most {OWNER_LIMIT} characters."
    return replace(rule, reason=reason, owner=owner)


def _one_line(text: str) -> str:
    """Without control characters and half surrogate pairs, which no database takes."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _check_life(rule: Rule, powers: Powers, problems: dict[str, str]) -> None:
    times = [moment for moment in (rule.since, rule.until) if moment is not None]
    if not all(_EARLIEST < moment.year < _LATEST for moment in times):
        problems["until"] = f"Times lie between the years {_EARLIEST} and {_LATEST}."
    elif rule.scope is Scope.EVERYTHING:
        _check_pause(rule, powers, problems)
    elif rule.until is None:
        if not powers.endless:
            problems["until"] = "Only an administrator may leave out the end."
    elif rule.until <= rule.since:
        problems["until"] = "The end has to come after the beginning."
    elif not powers.endless and rule.until - rule.since > timedelta(days=MOST_DAYS):
        problems["until"] = f"At most {MOST_DAYS} days; an administrator may say more."


def _check_pause(rule: Rule, powers: Powers, problems: dict[str, str]) -> None:
    if not powers.pause:
        problems["scope"] = "Only an administrator may pause enforcement."
    elif rule.until is None or rule.until - rule.since > LONGEST_PAUSE:
        problems["until"] = "A pause of enforcement ends within 24 hours."
    elif rule.until <= rule.since:
        problems["until"] = "The end has to come after the beginning."
