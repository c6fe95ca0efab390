"""Which exception counts for a domain: one, the most specific."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from policies.mtasts.domain import parse_domain
from policies.socketmap.exceptions.rule import Rule, Scope


class Rules:
    """Exceptions, found by name. Never changed once made, so that threads may share it.

    The domain's own comes before that of the longest suffix, this before that of the longest MX
    pattern, this before the pause of everything. Those before their beginning and after their end
    do not count.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.all = frozenset(rules)
        self._by_key: dict[tuple[Scope, str], list[Rule]] = {}
        for rule in sorted(self.all, key=lambda rule: rule.id, reverse=True):
            self._by_key.setdefault((rule.scope, _key(rule)), []).append(rule)
        self._has_mx = any(rule.scope is Scope.MX for rule in self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    def find(self, domain: str, mx: Iterable[str], now: datetime) -> Rule | None:
        """The one that counts for this A-label domain, whose policy has these mx patterns."""
        return next(self.matching(domain, mx, now), None)

    def matching(self, domain: str, mx: Iterable[str], now: datetime) -> Iterator[Rule]:
        """All that count for it, the one that does first."""
        yield from self._active(Scope.DOMAIN, domain, now)
        for suffix in parents(domain):
            yield from self._active(Scope.SUFFIX, suffix, now)
        if self._has_mx:
            for target in mx_targets(mx):
                yield from self._active(Scope.MX, target, now)
        yield from self._active(Scope.EVERYTHING, "", now)

    def flipped(self, then: datetime, now: datetime) -> list[Rule]:
        """Those that count at one of these times and not at the other."""
        return [rule for rule in self.all if rule.is_active(then) != rule.is_active(now)]

    def _active(self, scope: Scope, key: str, now: datetime) -> Iterator[Rule]:
        return (rule for rule in self._by_key.get((scope, key), ()) if rule.is_active(now))


def parents(domain: str) -> Iterator[str]:
    """The names above `domain`, the longest first."""
    while domain:
        _, _, domain = domain.partition(".")
        if domain:
            yield domain


def mx_targets(mx: Iterable[str]) -> list[str]:
    """The targets under which mx patterns fall, the longest first: each pattern as it is, and
    `*.` with each name above it."""
    found: set[str] = set()
    for pattern in mx:
        found.add(pattern)
        found.update(f"*.{name}" for name in parents(pattern))
    # Among names of one length any order will do, as long as it is always the same.
    return sorted(found, key=lambda target: (-len(target.removeprefix("*.")), target))


def _key(rule: Rule) -> str:
    """The target as names are compared."""
    match rule.scope:
        case Scope.DOMAIN:
            return parse_domain(rule.target).ascii
        case Scope.SUFFIX:
            return parse_domain(rule.target[1:]).ascii
        case Scope.MX | Scope.EVERYTHING:
            return rule.target
