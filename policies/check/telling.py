"""How findings are told while a check runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from policies.check.advice import Advice, advice
from policies.check.findings import Fact, Finding, Stage, State, shown_text
from policies.mtasts.errors import (
    FetchError,
    MTASTSError,
    NoRecordError,
    PolicySyntaxError,
)
from policies.tlsrpt import words
from policies.tlsrpt.failures import failure_details

Tell = Callable[[Finding], None]
"""Called when a stage has ended, and again where more is known of it."""


class Teller:
    """Tells findings, with the time each stage took, and remembers them."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._since = time.monotonic()
        self._told: dict[Stage, Finding] = {}

    def tell(self, stage: Stage, state: State, word: str, *facts: Fact) -> None:
        now = time.monotonic()
        self._say(Finding(stage, state, word, facts, took=now - self._since))
        self._since = now

    def fail(self, stage: Stage, word: str, error: MTASTSError, *facts: Fact) -> None:
        """The stage, told of before or not, ends in this error."""
        now = time.monotonic()
        before = self._told.get(stage, Finding(stage, State.BAD, word))
        self._say(
            replace(
                before,
                state=State.IDLE if isinstance(error, NoRecordError) else State.BAD,
                word=word,
                facts=(*before.facts, *facts),
                took=before.took + now - self._since,
                problem=_said(error),
                seen=str(error) if isinstance(error, FetchError) else "",
                code=str(failure_details(error)),
                advice=advice(error),
            )
        )
        self._since = now

    def judge(
        self,
        stage: Stage,
        state: State,
        word: str,
        problem: str,
        advised: Advice | None,
        *facts: Fact,
    ) -> None:
        """The stage ends in something that is to be noted, and is no failure of the policy's."""
        now = time.monotonic()
        took = now - self._since
        self._say(Finding(stage, state, word, facts, took, problem=problem, advice=advised))
        self._since = now

    def add_text(self, text: str, bad_line: int = 0, note: str = "") -> None:
        """The policy stage shows this text. `note`: what is odd about a policy that is valid."""
        before = self._told[Stage.POLICY]
        shown = shown_text(text, bad_line)
        left_out = text.count("\n") - shown.count("\n")
        facts = (Fact.of("Not shown", f"{left_out} more lines"),) if left_out > 1 else ()
        self._say(
            replace(
                before,
                text=shown,
                bad_line=bad_line,
                facts=(*before.facts, *facts),
                problem=note or before.problem,
                state=State.WARN if note else before.state,
            )
        )

    def _say(self, finding: Finding) -> None:
        self._told[finding.stage] = finding
        self._tell(finding)


def _said(error: MTASTSError) -> str:
    """What is wrong, in words. What libraries say of a fetch is for those who know them."""
    if isinstance(error, PolicySyntaxError):
        return error.problem
    if not isinstance(error, FetchError):
        return str(error)
    failure = failure_details(error)
    outcome = words.outcome("sts", failure.result_type, failure.reason_code)
    return outcome.words if outcome else str(error)
