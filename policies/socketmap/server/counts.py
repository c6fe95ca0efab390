"""What is counted, for the log and for /status/."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Forced(StrEnum):
    """Why an answer was given before its lookup had ended, or without one."""

    DNS = "dns-deadline"
    """The TXT record was not answered in time: by SOCKETMAP_ON_DNS_ERROR."""
    FETCH = "fetch-deadline"
    """The policy host was still being asked: NOTFOUND (RFC 8461 section 3.3)."""
    DATABASE = "database"
    """The database did not answer: TEMP."""
    QUEUE = "queue-deadline"
    """No thread was free in time: by SOCKETMAP_ON_DNS_ERROR."""
    ADDRESS = "address-busy"
    """No connection to that address was free in time: NOTFOUND."""
    DANE = "dane-deadline"
    """The policy is known, but not whether DANE has precedence: the policy."""
    BROKEN = "broken"
    """Something of ours broke: TEMP."""


class Counts:
    """Since the start. Written in the event loop's thread, read in any."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.not_ours = 0
        self.refused_connections = 0
        self.forced: Counter[Forced] = Counter()
