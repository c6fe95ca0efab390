"""What an alert can be about, and how it is put into words. No Django."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import NamedTuple


class Severity(StrEnum):
    """How loudly it is told.

    A warning may be an attack or an accident that somebody else's mail suffers from; it is sent
    once it is confirmed. A notice is what the domain says itself, over verified HTTPS.
    """

    WARNING = "warning"
    NOTICE = "notice"


class State(StrEnum):
    """Suspected at first sight; confirmed when it is still so a day later."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"


class Closed(StrEnum):
    """Why an alert is open no longer."""

    WELL = "well"
    OPTED_OUT = "opted-out"
    SETTLED = "settled"
    ENDED = "ended"
    FORGOTTEN = "forgotten"

    @property
    def words(self) -> str:
        return _CLOSED[self]


class Kind(StrEnum):
    """The nine downgrades that are looked for, each in a word that scripts may rely on."""

    RECORD_GONE = "record-gone"
    RECORD_BROKEN = "record-broken"
    HOST_GONE = "policy-host-gone"
    CERTIFICATE_REFUSED = "certificate-refused"
    POLICY_INVALID = "policy-invalid"
    REFRESH_FAILING = "refresh-failing"
    ENFORCE_TO_TESTING = "enforce-to-testing"
    MAX_AGE_CUT = "max-age-cut"
    MX_WIDENED = "mx-widened"

    @property
    def severity(self) -> Severity:
        return Severity.NOTICE if self in NOTICES else Severity.WARNING

    @property
    def words(self) -> str:
        """In a few words, for lists and subjects."""
        return _WORDS[self].words

    @property
    def meaning(self) -> str:
        """In a sentence or two, for whoever meets it for the first time."""
        return _WORDS[self].meaning

    @property
    def remedy(self) -> str:
        """Who can mend it, and how."""
        return _WORDS[self].remedy

    @property
    def bit(self) -> int:
        """Its place in a row's sum of open kinds."""
        return _BITS[self]


RECORD = frozenset({Kind.RECORD_GONE, Kind.RECORD_BROKEN})
"""Seen and ended by a look at DNS."""

FETCH = frozenset({Kind.HOST_GONE, Kind.CERTIFICATE_REFUSED, Kind.POLICY_INVALID})
"""What a policy host's answer came to; a fetch that works ends them."""

NOTICES = frozenset({Kind.ENFORCE_TO_TESTING, Kind.MAX_AGE_CUT, Kind.MX_WIDENED})

_BITS = {kind: 1 << place for place, kind in enumerate(Kind)}

ALL_BITS = sum(kind.bit for kind in Kind)


def bits(kinds: frozenset[Kind]) -> int:
    return sum(kind.bit for kind in kinds)


@cache  # no more than there are sums
def of_bits(number: int) -> frozenset[Kind]:
    return frozenset(kind for kind in Kind if number & kind.bit)


class Words(NamedTuple):
    """What a kind is called, what it means, and what to do."""

    words: str
    meaning: str
    remedy: str


_ASK = "Ask the domain's postmaster by a way other than mail to that domain."

_WORDS = {
    Kind.RECORD_GONE: Words(
        "record gone",
        "The domain has an enforce policy, and its TXT record is no longer there. Whoever drops the"
        " policy on purpose publishes mode none first (RFC 8461 section 8.3); whoever can forge DNS"
        " takes the record away.",
        _ASK + " They have to publish the record again, or mode none.",
    ),
    Kind.RECORD_BROKEN: Words(
        "record broken or several",
        "The domain has an enforce policy, and its TXT record no longer counts: it breaks the"
        " grammar, or there are several (RFC 8461 section 3.1).",
        "The domain's DNS administrators have to leave exactly one valid record.",
    ),
    Kind.HOST_GONE: Words(
        "policy host gone",
        "The domain has an enforce policy, and its policy host does not exist any more or answers"
        " 404.",
        "The domain's administrators have to serve the policy again, or publish mode none.",
    ),
    Kind.CERTIFICATE_REFUSED: Words(
        "certificate refused",
        "The domain has an enforce policy, and its policy host shows a certificate that does not"
        " verify: it was not renewed, or somebody else answers in its place.",
        "The domain's administrators have to mend the policy host's certificate. " + _ASK,
    ),
    Kind.POLICY_INVALID: Words(
        "policy does not parse",
        "The domain has an enforce policy, and what its policy host serves now is no policy (RFC"
        " 8461 section 3.2).",
        "The domain's administrators have to mend the policy's text.",
    ),
    Kind.REFRESH_FAILING: Words(
        "refresh failing",
        "An enforce policy could not be fetched anew for three days, or for half of the life that"
        " it had left. When it ends, mail goes out as without MTA-STS (RFC 8461 sections 3.3 and"
        " 10.2).",
        "Look with Check whether the policy host can be reached from here; if it can from"
        " elsewhere, the way between is at fault. Else its administrators have to mend it.",
    ),
    Kind.ENFORCE_TO_TESTING: Words(
        "enforce became testing",
        "The domain publishes mode testing where it had enforce: mail is no longer held to verified"
        " TLS. Its own policy host says so, over verified HTTPS.",
        "Nothing to mend if they meant it. If it matters to you, ask them, or make an exception.",
    ),
    Kind.MAX_AGE_CUT: Words(
        "max_age cut",
        "The domain cut max_age to less than half, and to less than a day: who can suppress its"
        " record for that long defeats the policy (RFC 8461 section 10.2). Its own policy host says"
        " so, over verified HTTPS.",
        "Nothing to mend if they prepare a change. If it stays so, ask them for weeks.",
    ),
    Kind.MX_WIDENED: Words(
        "mx widened",
        "The policy now allows mail hosts of another registrable domain than before. Its own policy"
        " host says so, over verified HTTPS.",
        "Nothing to mend if they changed their mail provider. If that surprises you, ask them.",
    ),
}

_CLOSED = {
    Closed.WELL: "well again",
    Closed.OPTED_OUT: "the domain published mode none",
    Closed.SETTLED: "it has been so for 30 days",
    Closed.ENDED: "the policy has ended, or nobody has asked for 30 days",
    Closed.FORGOTTEN: "the policy was deleted here",
}
