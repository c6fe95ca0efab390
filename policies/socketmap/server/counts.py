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


def kind(payload: bytes) -> str:
    """What sort of reply this is, in a word: "secure", "notfound", "temp" …"""
    word, _, rest = payload.partition(b" ")
    if word == b"OK":
        word = rest.partition(b" ")[0]
    return word.decode("ascii", "replace").lower()


class Counts:
    """Since the start. Written in the event loop's thread, read in any."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.not_ours = 0
        self.listed = 0  # domains that are left to DANE in any case
        self.refused_connections = 0
        self.forced: Counter[Forced] = Counter()
        self.replies: Counter[str] = Counter()  # of kind(), but for those in `Memory.used`
        self.waited = 0  # of `hits`: how many were answered after a lookup
        self.waits: list[float] = []  # seconds, until the clerk takes them
