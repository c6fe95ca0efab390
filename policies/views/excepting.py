"""What an exception does to a policy, for the pages that show the policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from policies import exceptions
from policies.check.verdict import MAPS
from policies.models import PolicyRecord
from policies.mtasts import Policy
from policies.socketmap.exceptions import Action, Rule, Rules, apply
from policies.socketmap.reply import NOT_FOUND, reply


@dataclass(frozen=True, slots=True)
class Excepting:
    """The exception that counts for a domain; what Postfix gets under it, by the map's name.

    `overruled`: others that would count without it.
    """

    rule: Rule
    says: str
    kind: str
    replies: list[tuple[str, str]]
    overruled: list[Rule]
    ends_soon: bool


def of_rows(records: list[PolicyRecord], now: datetime) -> dict[str, Rule]:
    """The exception that counts, by the domain of the row; one query."""
    if not records:
        return {}
    rules = exceptions.about([(row.name.ascii, _mx(row, now)) for row in records], now)
    found = {row.domain: _find(rules, row, now) for row in records}
    return {domain: rule for domain, rule in found.items() if rule is not None}


def of_row(row: PolicyRecord, now: datetime) -> Excepting | None:
    """The same of one row, with all there is to say; one query."""
    rules = exceptions.about([(row.name.ascii, _mx(row, now))], now)
    matching = list(rules.matching(row.name.ascii, _mx(row, now), now))
    if not matching:
        return None
    rule, *overruled = matching
    policy = _policy(row, now)
    replies = [(name, _reply(row, rule, policy, tlsrpt=tlsrpt)) for name, tlsrpt in MAPS.items()]
    says, kind = _words(row, rule, policy)
    soon = rule.until is not None and rule.until <= now + exceptions.SOON
    return Excepting(rule, says, kind, replies, overruled, soon)


def _find(rules: Rules, row: PolicyRecord, now: datetime) -> Rule | None:
    return rules.find(row.name.ascii, _mx(row, now), now)


def _mx(row: PolicyRecord, now: datetime) -> list[str]:
    policy = _policy(row, now)
    return [str(pattern) for pattern in policy.mx] if policy else []


def _policy(row: PolicyRecord, now: datetime) -> Policy | None:
    """The one in force."""
    return row.policy if row.is_valid(now) else None


def _reply(row: PolicyRecord, rule: Rule, policy: Policy | None, *, tlsrpt: bool) -> str:
    text, edited = row.policy_text, row.edited is not None
    told = apply(rule, policy, row.name, tlsrpt=tlsrpt, policy_text=text, edited=edited)
    if told is None and policy is not None:
        told = reply(policy, row.name, tlsrpt=tlsrpt, policy_text=text, edited=edited)
    return (told or NOT_FOUND).decode()


def _words(row: PolicyRecord, rule: Rule, policy: Policy | None) -> tuple[str, str]:
    """What becomes of the policy, and how loudly to say it."""
    if apply(rule, policy, row.name, tlsrpt=False) is None:
        return "What is published counts; nothing is changed", "idle"
    match rule.action:
        case Action.SKIP:
            return "The policy does not reach Postfix", "bad"
        case Action.PIN:
            return "Postfix gets a pinned policy in place of the published one", "warn"
        case Action.ENFORCE:
            return "The policy tests, and Postfix enforces it", "warn"
        case Action.REQUIRE:
            return "Postfix requires TLS though no policy does", "warn"
