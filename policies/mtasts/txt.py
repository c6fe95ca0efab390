"""TXT records as a zone file writes them, for those who want to see what is published."""

from __future__ import annotations

from typing import cast

from dns.rdtypes.ANY.TXT import TXT

from policies.mtasts.dns import Answer


def joined(answer: Answer) -> list[bytes]:
    """Each TXT record, its strings joined as they are (RFC 8461 section 3.1)."""
    return [b"".join(cast(TXT, rdata).strings) for rdata in answer.records]


def as_written(answer: Answer) -> list[str]:
    """Each TXT record with its strings in quotes, in printable ASCII."""
    return [cast(TXT, rdata).to_text() for rdata in answer.records]
