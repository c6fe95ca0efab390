"""MTA-STS (RFC 8461): names, the TXT record, the policy, and how to get both.

This package exports the pure part: no network, no clock. DNS and HTTPS have modules of their own.
"""

from policies.mtasts.domain import Domain, parse_domain, parse_host
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    DomainNameError,
    FetchError,
    MTASTSError,
    MultipleRecordsError,
    NoPolicyError,
    NoRecordError,
    NotMTASTS,
    PolicySyntaxError,
    RecordError,
    RecordSyntaxError,
)
from policies.mtasts.mx import MXPattern, parse_mx
from policies.mtasts.policy import MAX_AGE_LIMIT, Mode, Policy, parse_policy
from policies.mtasts.record import Record, parse_record, select_record

__all__ = [
    "MAX_AGE_LIMIT",
    "CertificateError",
    "DNSError",
    "Domain",
    "DomainNameError",
    "FetchError",
    "MTASTSError",
    "MXPattern",
    "Mode",
    "MultipleRecordsError",
    "NoPolicyError",
    "NoRecordError",
    "NotMTASTS",
    "Policy",
    "PolicySyntaxError",
    "Record",
    "RecordError",
    "RecordSyntaxError",
    "parse_domain",
    "parse_host",
    "parse_mx",
    "parse_policy",
    "parse_record",
    "select_record",
]
