"""Extended DNS errors (RFC 8914) that say DNSSEC validation failed, and what reports call them.

An absence can be forged where a zone is unsigned; where one of these appears the zone is signed,
and somebody may be at work on the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

VALIDATION_FAILURES: Mapping[int, str] = MappingProxyType(
    {
        1: "unsupported-dnskey-algorithm",
        2: "unsupported-ds-digest-type",
        5: "dnssec-indeterminate",
        6: "dnssec-bogus",
        7: "signature-expired",
        8: "signature-not-yet-valid",
        9: "dnskey-missing",
        10: "rrsigs-missing",
        11: "no-zone-key-bit-set",
        12: "nsec-missing",
        25: "signature-expired-before-valid",
        27: "unsupported-nsec3-iterations-value",
    }
)
