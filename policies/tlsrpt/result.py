"""A TLSRPT result: the policy that applied and what went wrong (RFC 8460 section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class PolicyType(StrEnum):
    """`policy-type` (RFC 8460 section 4.4). DANE is not ours to judge, so `tlsa` is absent."""

    STS = "sts"
    NO_POLICY_FOUND = "no-policy-found"


class ResultType(StrEnum):
    """`result-type` (RFC 8460 section 4.3), as far as a policy service can see it."""

    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """One kind of failure, and how many sessions it hit (RFC 8460 section 4.4)."""

    result_type: str
    reason_code: str = ""
    failed_session_count: int = 1

    def with_suffix(self, suffix: str) -> FailureDetails:
        """The same with `suffix` joined to the reason code by a plus sign."""
        return replace(self, reason_code="+".join(filter(None, (self.reason_code, suffix))))

    def __str__(self) -> str:
        """`result-type: reason-code`, the form in which lists show it."""
        return f"{self.result_type}: {self.reason_code}" if self.reason_code else self.result_type

    def to_json(self) -> dict[str, Any]:
        """The member of `failure-details`; unknown optional keys are left out."""
        details: dict[str, Any] = {"result-type": str(self.result_type)}
        if self.reason_code:
            details["failure-reason-code"] = self.reason_code
        return details | {"failed-session-count": self.failed_session_count}


@dataclass(frozen=True, slots=True)
class ResultPolicy:
    """`policy` of RFC 8460 section 4.4. `domain` and `mx_host` are in A-labels."""

    type: PolicyType
    domain: str
    string: tuple[str, ...] = ()
    mx_host: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "policy-type": str(self.type),
            "policy-string": list(self.string),
            "policy-domain": self.domain,
            "mx-host": list(self.mx_host),
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What one lookup adds to a TLS report.

    Lookups are not TLS sessions, so both totals stay 0 until sessions are reported to us.
    """

    policy: ResultPolicy
    failures: tuple[FailureDetails, ...] = ()
    successful_sessions: int = field(default=0)
    failed_sessions: int = field(default=0)

    def to_json(self) -> dict[str, Any]:
        """A member of `policies` in the report (RFC 8460 section 4.4)."""
        return {
            "policy": self.policy.to_json(),
            "summary": {
                "total-successful-session-count": self.successful_sessions,
                "total-failure-session-count": self.failed_sessions,
            },
            "failure-details": [failure.to_json() for failure in self.failures],
        }
