"""What a check's findings mean: in plain words, for Postfix, and for a TLS report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from policies.check.findings import Reply, Report, State, shown_time
from policies.decide import NEEDS_FETCH, Answer, Cached, Store, decide
from policies.mtasts import Domain, Mode, Record
from policies.mtasts.errors import DNSError, MTASTSError
from policies.mtasts.mxfit import Finding
from policies.socketmap.exceptions import Rule, Rules, apply
from policies.socketmap.reply import NOT_FOUND, reply
from policies.socketmap.server.caution import CAREFUL_FOR, on_dns_error
from policies.tlsrpt import words

if TYPE_CHECKING:
    from mtastsweb.environment import OnDNSError
    from policies.decide import Fetched, Look
    from policies.mtasts.mxfit import Fit
    from policies.socketmap.dane import Verdict

MAPS = {"postfix": False, "postfix-tlsrpt": True}
"""The names under which Postfix asks, and whether the replies carry TLSRPT attributes."""


@dataclass(frozen=True, slots=True)
class Found:
    """What DNS, the policy host and the cache say. `cached`, `valid_end`
    and `was_enforced` are of the cache's row.

    `fit`: how the mail hosts fit; None where they were not asked for, or DNS did not say.
    `exceptions`: those that may count. `is_listed`: the operator leaves the domain to DANE
    (MTASTS_DANE_DOMAINS), whatever all the others say.
    """

    look: Look
    fetched: Fetched | None
    dane: Verdict | None
    fit: Fit | None
    cached: Cached | None
    valid_end: datetime | None
    was_enforced: bool
    exceptions: Rules = field(default_factory=Rules)
    is_listed: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """An answer, and the policy text behind it. `edited`: by an operator."""

    answer: Answer
    text: str = ""
    edited: bool = False


def report(name: Domain, found: Found, setting: OnDNSError, now: datetime) -> Report:
    """The report of a check. `setting`: what is answered where DNS fails."""
    fresh = _outcome(name, None, found, now)
    cached = _outcome(name, found.cached, found, now)
    state, verdict = _verdict(name, fresh.answer, found)
    excepted = _said_of(_rule(name, cached, found, now) or _rule(name, fresh, found, now))
    return Report(
        state=state,
        verdict=verdict,
        exception="" if found.is_listed else excepted,
        cached=_of_cache(found),
        replies=tuple(
            _replies(map_name, name, fresh, cached, found, setting, now) for map_name in MAPS
        ),
        result=_json(fresh.answer),
        cached_result=_json(cached.answer) if found.cached else "",
        has_record=isinstance(found.look, Record),
        is_reported=fresh.answer.error is None,
        is_listed=found.is_listed,
    )


def _outcome(name: Domain, cached: Cached | None, found: Found, now: datetime) -> _Outcome:
    """What a lookup comes to that has this in its cache."""
    answer = decide(name.ascii, cached, found.look, found.fetched, now)
    assert answer is not NEEDS_FETCH  # noqa: S101 - whoever found a record has fetched
    fetched = found.fetched
    if answer.store is Store.POLICY and fetched and not isinstance(fetched, MTASTSError):
        return _Outcome(answer, fetched.text)
    return _Outcome(answer, cached.policy_text, cached.edited) if cached else _Outcome(answer)


def _replies(
    map_name: str,
    name: Domain,
    fresh: _Outcome,
    cached: _Outcome,
    found: Found,
    setting: OnDNSError,
    now: datetime,
) -> Reply:
    """What Postfix gets from this map, now and once DNS has failed for a day."""

    def told(outcome: _Outcome, *, failing_for: float) -> str:
        # Without its row nobody remembers what the cache held.
        was_enforced = found.was_enforced and outcome is cached
        return _reply(
            name,
            outcome,
            found,
            setting,
            now,
            tlsrpt=MAPS[map_name],
            was_enforced=was_enforced,
            failing_for=failing_for,
        )

    said = [told(outcome, failing_for=0.0) for outcome in (fresh, cached)]
    later = [told(outcome, failing_for=CAREFUL_FOR) for outcome in (fresh, cached)]
    late = ["" if then == now_ else then for now_, then in zip(said, later, strict=True)]
    return Reply(map_name, *said, *late)


def _reply(
    name: Domain,
    outcome: _Outcome,
    found: Found,
    setting: OnDNSError,
    now: datetime,
    *,
    tlsrpt: bool,
    was_enforced: bool,
    failing_for: float,
) -> str:
    """What Postfix gets, under the exception that counts if there is one.

    `failing_for`: seconds since DNS began to fail, which the socketmap alone knows.
    """
    if found.is_listed:
        return NOT_FOUND.decode()
    policy, error = outcome.answer.policy, outcome.answer.error
    rule = _rule(name, outcome, found, now)
    if rule is not None:
        told = apply(
            rule, policy, name, tlsrpt=tlsrpt, policy_text=outcome.text, edited=outcome.edited
        )
        if told is not None:
            dane = found.dane.override if found.dane else None
            return (dane if dane is not None and told.startswith(b"OK ") else told).decode()
    if policy is None and error is None:
        payload = NOT_FOUND
    elif policy is None:
        payload = on_dns_error(
            setting,
            is_proven_attack=error is not None and error.ede is not None,
            was_enforced=was_enforced,
            failing_for=failing_for,
        )
    elif policy.mode is Mode.ENFORCE and found.dane and found.dane.override is not None:
        payload = found.dane.override
    else:
        payload = reply(
            policy, name, tlsrpt=tlsrpt, policy_text=outcome.text, edited=outcome.edited
        )
    return payload.decode()


def _rule(name: Domain, outcome: _Outcome, found: Found, now: datetime) -> Rule | None:
    policy = outcome.answer.policy
    return found.exceptions.find(name.ascii, policy.mx if policy else (), now)


def _said_of(rule: Rule | None) -> str:
    """That an exception counts; empty where none does."""
    if rule is None:
        return ""
    end = f"until {shown_time(rule.until)}" if rule.until else "without end"
    return (
        f"An exception counts: {rule.action} for {rule.shown_target}, {end}, of {rule.owner}:"
        f" {rule.reason}. What Postfix gets is shown as it is under it."
    )


def _verdict(name: Domain, fresh: Answer, found: Found) -> tuple[State, str]:
    if isinstance(found.look, DNSError):
        return State.BAD, (
            f"DNS gives no answer, so nobody can tell now whether {name.unicode} uses MTA-STS."
        )
    if fresh.policy is not None:
        return _of_policy(name, fresh.policy.mode, found)
    failure = fresh.failure
    if failure is None:
        return State.IDLE, (
            f"{name.unicode} does not use MTA-STS. Mail to it goes out as without it, and nothing"
            " has to be mended unless its owner wants the protection."
        )
    outcome = words.outcome("sts", failure.result_type, failure.reason_code)
    said = outcome.words if outcome else str(failure)
    return State.BAD, (
        f"{name.unicode} announces a policy, but it cannot be used: {said}. A mail server that has"
        " none in its cache delivers as without MTA-STS (RFC 8461 section 3.3)."
    )


def _of_policy(name: Domain, mode: Mode, found: Found) -> tuple[State, str]:
    if mode is Mode.NONE:
        return State.IDLE, (
            f"{name.unicode} has ended its use of MTA-STS (mode none). Mail to it goes out as"
            " without it."
        )
    if mode is Mode.TESTING:
        return State.OK, (
            f"{name.unicode} tests MTA-STS: all is in order, mail goes out as without it, and what"
            " would have been refused is reported."
        )
    if found.is_listed:
        return State.OK, (
            f"{name.unicode} enforces MTA-STS, and is left to DANE here: what Postfix verifies is"
            " what TLSA records say."
        )
    if found.dane is not None and found.dane.override is not None:
        return State.OK, (
            f"{name.unicode} enforces MTA-STS, and its mail hosts have DANE as well, which has"
            " precedence (RFC 8461 section 2): Postfix verifies by TLSA."
        )
    if found.fit is not None and found.fit.finding is Finding.NONE:
        return State.BAD, (
            f"{name.unicode} enforces MTA-STS, but none of its mail hosts fits the policy: mail to"
            " it is deferred, however good their certificates are (RFC 8461 section 5)."
        )
    if found.fit is not None and found.fit.finding is Finding.DETOUR:
        return State.WARN, (
            f"{name.unicode} enforces MTA-STS, but its preferred mail host fits no pattern: mail to"
            " it waits whenever the others do not take it."
        )
    return State.OK, (
        f"{name.unicode} enforces MTA-STS: mail to it is delivered only over TLS, to hosts that"
        " fit its MX patterns and show a certificate that verifies."
    )


def _of_cache(found: Found) -> str:
    cached = found.cached
    if cached is None:
        return "Nothing valid is cached, so a mail server's lookup does what this check did."
    until = shown_time(found.valid_end) if found.valid_end else "its end"
    if cached.policy is None:
        return f"The cache backs off until {until} after a fetch that failed, and holds no policy."
    edited = ", as an operator wrote it," if cached.edited else ""
    return (
        f"A policy of mode {cached.policy.mode}{edited} is cached until {until}; it applies"
        " whatever fails."
    )


def _json(answer: Answer) -> str:
    return json.dumps(answer.result.to_json(), indent=2, ensure_ascii=False)
