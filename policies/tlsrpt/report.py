"""A TLS report: results merged, and the JSON of RFC 8460 section 4.4."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from ipaddress import ip_address
from typing import Any

from policies.tlsrpt.result import FailureDetails, Result, ResultPolicy

ALL = "all"
"""In the place of the policy domain where a report is of every domain."""


@dataclass(frozen=True, slots=True)
class SessionFailure(FailureDetails):
    """A failure with what is known of the hosts (RFC 8460 section 4.4); empty: unknown."""

    additional_information: str = ""
    sending_mta_ip: str = ""
    receiving_ip: str = ""
    receiving_mx_hostname: str = ""
    receiving_mx_helo: str = ""

    def to_json(self) -> dict[str, Any]:
        """The member of `failure-details`; optional keys are left out where nothing is known, or
        something that is no address where one belongs."""
        # super() without arguments knows another class: slots made this one anew.
        details = FailureDetails.to_json(self)
        count = details.pop("failed-session-count")
        hosts = {
            "sending-mta-ip": _address(self.sending_mta_ip),
            "receiving-mx-hostname": self.receiving_mx_hostname,
            "receiving-mx-helo": self.receiving_mx_helo,
            "receiving-ip": _address(self.receiving_ip),
            "additional-information": self.additional_information,
        }
        known = {name: value for name, value in hosts.items() if value}
        return details | known | {"failed-session-count": count}


def _address(text: str) -> str:
    """Without an IPv6 zone, which is no part of the address and means nothing elsewhere."""
    try:
        return str(ip_address(text)).partition("%")[0]
    except ValueError:
        return ""


def merge(results: Iterable[Result]) -> tuple[Result, ...]:
    """One result for each policy, in a fixed order: sessions add up, and so do the counts of
    failure details that are equal in all else."""
    merged: dict[ResultPolicy, Result] = {}
    for result in results:
        before = merged.get(result.policy, Result(result.policy))
        merged[result.policy] = Result(
            result.policy,
            _add_up((*before.failures, *result.failures)),
            before.successful_sessions + result.successful_sessions,
            before.failed_sessions + result.failed_sessions,
        )
    return tuple(sorted(merged.values(), key=_policy_order))


def _add_up(failures: Iterable[FailureDetails]) -> tuple[FailureDetails, ...]:
    counts: dict[FailureDetails, int] = {}
    for failure in failures:
        kind = replace(failure, failed_session_count=0)
        counts[kind] = counts.get(kind, 0) + failure.failed_session_count
    summed = [replace(kind, failed_session_count=count) for kind, count in counts.items()]
    return tuple(sorted(summed, key=_failure_order))


def _policy_order(result: Result) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    policy = result.policy
    return policy.domain, str(policy.type), policy.string, policy.mx_host


def _failure_order(failure: FailureDetails) -> str:
    return json.dumps(failure.to_json())


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who reports. `domain`: A-labels; the part of `contact` behind the @ should be the same."""

    organization: str
    contact: str
    domain: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report of one UTC day. `domain`: the policy domain in A-labels, or ALL."""

    submitter: Submitter
    day: date
    domain: str

    number: int = 1
    """Tells apart several reports of the same day and domain."""

    @property
    def id(self) -> str:
        """The report-id; the same text stands in the mail that carries the report (section 5.3)."""
        return f"{self.day:%Y%m%d}.{self.number}.{self.domain}@{self.submitter.domain}"

    @property
    def file_name(self) -> str:
        """As section 5.1 has it, with times in seconds of the epoch."""
        start, end = (int(moment.timestamp()) for moment in self._range)
        return f"{self.submitter.domain}!{self.domain}!{start}!{end}.json"

    @property
    def _range(self) -> tuple[datetime, datetime]:
        return (
            datetime.combine(self.day, time(0, 0, 0), UTC),
            datetime.combine(self.day, time(23, 59, 59), UTC),
        )

    def chunks(self, results: Iterable[Result]) -> Iterator[str]:
        """The report's JSON, ASCII alone, piece by piece: a day may have many domains."""
        start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in self._range)
        head = {
            "organization-name": self.submitter.organization,
            "date-range": {"start-datetime": start, "end-datetime": end},
            "contact-info": self.submitter.contact,
            "report-id": self.id,
        }
        yield json.dumps(head)[:-1] + ', "policies": ['
        separator = ""
        for result in results:
            yield separator + json.dumps(result.to_json())
            separator = ", "
        yield "]}\n"
