"""The exceptions that the server knows, and what they mean for its answers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from policies.mtasts import Domain, Policy
from policies.socketmap.exceptions import Rule, Rules, apply, may_allow

if TYPE_CHECKING:
    from policies.socketmap.server.held import Held


class Excepted:
    """All exceptions, of which each moment has its own: they begin and end by themselves.

    Replaced in the event loop's thread; `find` and `may_allow` may be called in any.
    """

    def __init__(self, now: datetime) -> None:
        self._rules = Rules()
        self._at = now

    def __bool__(self) -> bool:
        """Whether there are any, active or not."""
        return bool(self._rules)

    def replace(self, rules: Rules, now: datetime) -> list[Rule]:
        """These are all from now on. Returns those by which answers may change."""
        before, self._rules = self._rules, rules
        changed = [
            rule
            for rule in before.all ^ rules.all
            if rule.is_active(self._at) or rule.is_active(now)
        ]
        return [*changed, *self.advance(now)]

    def advance(self, now: datetime) -> list[Rule]:
        """Those that have begun or ended since the last call."""
        then, self._at = self._at, now
        return self._rules.flipped(then, now) if self._rules else []

    def find(self, name: Domain, held: Held | None, now: datetime) -> Rule | None:
        """The one that counts. `held`: the row whose policy is in force, None for none."""
        return self._rules.find(name.ascii, held.mx if held else (), now)

    def may_allow(self, name: Domain, policy: Policy | None, now: datetime) -> bool:
        """Whether the one that counts may answer `OK`. `policy`: in force."""
        rule = self._rules.find(name.ascii, policy.mx if policy else (), now)
        return rule is not None and may_allow(rule, policy)


def told(rule: Rule, name: Domain, held: Held | None, *, tlsrpt: bool) -> bytes | None:
    """The reply under the exception; None where it has nothing to say."""
    if held is None:
        return apply(rule, None, name, tlsrpt=tlsrpt)
    return apply(
        rule, held.policy(), name, tlsrpt=tlsrpt, policy_text=held.text, edited=held.edited
    )
