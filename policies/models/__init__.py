"""What is stored. Only `policies.cache` and `policies.refresh` write `PolicyRecord`, and only
`policies.exceptions` writes `PolicyException`."""

from policies.models.alert import Alert, Message
from policies.models.change import Change
from policies.models.coordination import Heartbeat, Lease, SetupLink
from policies.models.exception import PolicyException
from policies.models.fetch import Fetch
from policies.models.job import Job, Summary
from policies.models.mxcheck import MXCheck
from policies.models.outcome import (
    Outcome,
    OutcomeAllowance,
    OutcomeFailure,
    OutcomePolicy,
    OutcomeSummary,
    OutcomeTotal,
)
from policies.models.policy import PolicyRecord
from policies.models.probe import Probe
from policies.models.token import ApiToken
from policies.models.version import PolicyVersion

__all__ = [
    "Alert",
    "ApiToken",
    "Change",
    "Fetch",
    "Heartbeat",
    "Job",
    "Lease",
    "MXCheck",
    "Message",
    "Outcome",
    "OutcomeAllowance",
    "OutcomeFailure",
    "OutcomePolicy",
    "OutcomeSummary",
    "OutcomeTotal",
    "PolicyException",
    "PolicyRecord",
    "PolicyVersion",
    "Probe",
    "SetupLink",
    "Summary",
]
