"""Exceptions for tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from policies.socketmap.exceptions import Action, Level, Rule, Scope
from tests.worlds import ENFORCE, NOON

WEEK = timedelta(days=7)


def rule(
    action: Action = Action.SKIP,
    target: str = "example.org",
    scope: Scope = Scope.DOMAIN,
    *,
    since: datetime = NOON,
    until: datetime | None = NOON + WEEK,
    **fields: Any,
) -> Rule:
    """An exception of a week from noon on, unchecked."""
    given = {"reason": "a reason", "owner": "somebody"} | fields
    return Rule(scope, target, action, since, until, **given)


def suffix(target: str = ".example.org", action: Action = Action.SKIP, **fields: Any) -> Rule:
    return rule(action, target, Scope.SUFFIX, **fields)


def by_mx(target: str, action: Action = Action.SKIP, **fields: Any) -> Rule:
    return rule(action, target, Scope.MX, **fields)


def everything(hours: float = 24, **fields: Any) -> Rule:
    return rule(Action.SKIP, "", Scope.EVERYTHING, until=NOON + timedelta(hours=hours), **fields)


def pin(text: str = ENFORCE, **fields: Any) -> Rule:
    return rule(Action.PIN, policy_text=text, **fields)


def require(*match: str, **fields: Any) -> Rule:
    """Level secure with these names; without any, encrypt."""
    level = Level.SECURE if match else Level.ENCRYPT
    return rule(Action.REQUIRE, level=level, match=match, **fields)
