"""What Postfix gets where an exception counts."""

from __future__ import annotations

from dataclasses import replace

from policies.mtasts.domain import Domain
from policies.mtasts.policy import Mode, Policy
from policies.socketmap.exceptions.rule import Action, Rule
from policies.socketmap.reply import NOT_FOUND, reply, required


def apply(
    rule: Rule,
    policy: Policy | None,
    domain: Domain,
    *,
    tlsrpt: bool,
    policy_text: str = "",
    edited: bool = False,
) -> bytes | None:
    """The reply under this exception; None where it has nothing to say, and the policy counts.

    `policy`: in force at the moment, None for none; `policy_text` and `edited` belong to it.
    DANE's precedence is the caller's to see to, as for policies.
    """
    match rule.action:
        case Action.SKIP:
            return NOT_FOUND
        case Action.PIN:
            # Reported as a policy of the domain's, but its lines are not what the domain serves.
            assert rule.policy is not None  # noqa: S101 - checked when it was made
            return reply(rule.policy, domain, tlsrpt=tlsrpt, policy_text="", edited=False)
        case Action.ENFORCE:
            if policy is None or policy.mode is not Mode.TESTING:
                return None
            held_to = replace(policy, mode=Mode.ENFORCE)
            return reply(held_to, domain, tlsrpt=tlsrpt, policy_text=policy_text, edited=edited)
        case Action.REQUIRE:
            if policy is not None and policy.mode is Mode.ENFORCE:
                return None  # what the domain asks for is more, or must not become less unseen
            assert rule.level is not None  # noqa: S101 - checked when it was made
            return required(rule.level, rule.match)


def decides_alone(rule: Rule) -> bool:
    """Whether it has a reply also where it is not known if the domain has a policy."""
    return rule.action is not Action.ENFORCE


def may_allow(rule: Rule, policy: Policy | None) -> bool:
    """Whether it may answer `OK`, so that DANE has to be asked before."""
    match rule.action:
        case Action.SKIP:
            return False
        case Action.ENFORCE:
            return policy is not None and policy.mode is Mode.TESTING
        case Action.PIN | Action.REQUIRE:
            return True
