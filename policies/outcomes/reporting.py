"""TLS reports (RFC 8460) from what was counted.

Only mail servers' lookups of a domain enter: not ours, not those of domains that have no row of
their own, and not what our own resolver failed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import groupby

from django.conf import settings

from policies.models import Outcome, OutcomeFailure
from policies.mtasts import Domain, parse_domain
from policies.tlsrpt.report import ALL, Report, SessionFailure, Submitter, merge
from policies.tlsrpt.result import PolicyType, Result, ResultPolicy

CHUNK = 500
"""Rows read at a time."""


def report(day: date, name: Domain | None = None) -> Iterator[str]:
    """The JSON of the report of a day, of one domain or of all, piece by piece."""
    return _heading(day, name).chunks(_results(day, name))


def file_name(day: date, name: Domain | None = None) -> str:
    """As RFC 8460 section 5.1 has it."""
    return _heading(day, name).file_name


def _heading(day: date, name: Domain | None) -> Report:
    environment = settings.MTASTS
    submitter = Submitter(
        environment.report_organization, environment.report_contact, environment.report_domain
    )
    return Report(submitter, day, name.ascii if name else ALL)


def _results(day: date, name: Domain | None) -> Iterator[Result]:
    rows = Outcome.objects.filter(
        day=day,
        kind=Outcome.Kind.DOMAIN,
        source=Outcome.Source.LOOKUP,
        policy__type__in=list(PolicyType),
    )
    if name is not None:
        rows = rows.filter(domain=name.unicode)
    found = rows.prefetch_related("policy", "details").order_by("domain", "id")
    for _, same in groupby(found.iterator(chunk_size=CHUNK), key=lambda row: row.domain):
        yield from merge(map(_result, same))


def _result(row: Outcome) -> Result:
    policy = ResultPolicy(
        PolicyType(row.policy.type),
        parse_domain(row.domain).ascii,
        tuple(row.policy.lines),
        tuple(row.policy.mx),
    )
    return Result(policy, tuple(map(_failure, row.details.all())))


def _failure(detail: OutcomeFailure) -> SessionFailure:
    return SessionFailure(
        detail.result_type,
        detail.reason,
        detail.count,
        additional_information=detail.additional,
        sending_mta_ip=detail.sending_ip,
        receiving_ip=detail.receiving_ip,
        receiving_mx_hostname=detail.receiving_mx,
        receiving_mx_helo=detail.receiving_helo,
    )
