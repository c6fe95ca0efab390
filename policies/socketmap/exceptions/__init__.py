"""Exceptions: what an operator has Postfix told in place of the published policies.

Pure: no Django, no clock. `rule` says what an exception is, `checking` whether it may be, `index`
which one counts, `applying` what Postfix gets, `tables` how Postfix's own tables say the same.
"""

from policies.socketmap.exceptions.applying import apply, decides_alone, may_allow
from policies.socketmap.exceptions.checking import Powers, Refused, check
from policies.socketmap.exceptions.index import Rules
from policies.socketmap.exceptions.rule import Action, Level, Rule, Scope

__all__ = [
    "Action",
    "Level",
    "Powers",
    "Refused",
    "Rule",
    "Rules",
    "Scope",
    "apply",
    "check",
    "decides_alone",
    "may_allow",
]
