"""What Django's checks find, ours among them."""

from __future__ import annotations

from dataclasses import dataclass

from django.core import checks

from policies.checks import TAG
from policies.status.parts import State, kept

KEPT = 300
"""Seconds for which the results are shown again: running them takes as long as ten pages."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A result of Django's checks."""

    state: State
    level: str
    id: str
    text: str
    hint: str


_LEVELS = {
    checks.DEBUG: (State.IDLE, "note"),
    checks.INFO: (State.IDLE, "note"),
    checks.WARNING: (State.WARN, "warning"),
    checks.ERROR: (State.BAD, "error"),
    checks.CRITICAL: (State.BAD, "error"),
}


def checked() -> list[Checked]:
    """The results of Django's checks and of ours, the worst first; run once in five minutes."""
    found: list[Checked] = kept("status:checks", KEPT, _run_checks)
    return found


def _run_checks() -> list[Checked]:
    found = [
        *checks.run_checks(),
        *checks.run_checks(tags=[TAG], include_deployment_checks=True),
    ]
    found = [message for message in found if not message.is_silenced()]
    return [
        Checked(
            *_LEVELS[message.level], message.id or "", str(message.msg), str(message.hint or "")
        )
        for message in sorted(found, key=lambda message: -message.level)
    ]
