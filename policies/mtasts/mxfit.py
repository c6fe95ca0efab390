"""Do the mail hosts of a domain fit its policy (RFC 8461 section 4.1)?

What counts is the name in the MX record, not what a CNAME makes of it. Who asks DNS for the
records is `policies.mtasts.mailhosts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from policies.mtasts.domain import parse_host
from policies.mtasts.errors import DomainNameError
from policies.mtasts.mx import MXPattern


class Named(StrEnum):
    """How DNS names the mail hosts of a domain."""

    MX = "mx"
    """By MX records."""

    DOMAIN = "domain"
    """Not at all: mail goes to the domain itself (RFC 5321 section 5.1)."""

    NULL = "null"
    """By an MX record that says: no mail (RFC 7505)."""

    ABSENT = "absent"
    """There is no such domain."""


class Finding(StrEnum):
    """What becomes of mail under a policy that is enforced, as far as names tell."""

    FITS = "fits"
    """Every mail host fits."""

    PARTLY = "partly"
    """A preferred mail host fits, and some other does not."""

    DETOUR = "detour"
    """No preferred mail host fits, but one of those behind them does."""

    NONE = "none"
    """No mail host fits: all mail is deferred."""

    NO_MAIL = "no-mail"
    """The domain takes no mail, or is none."""


FORETELLS = frozenset({Finding.DETOUR, Finding.NONE})
"""What is foretold as a deferral: of all mail, or of what a backup host does not take."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail host as DNS names it: lower case, no trailing dot. The lowest preference is first."""

    preference: int
    name: str


@dataclass(frozen=True, slots=True)
class HostFit:
    """A mail host, and the first pattern that it fits; empty where it fits none."""

    host: MailHost
    pattern: str

    @property
    def fits(self) -> bool:
        return bool(self.pattern)


@dataclass(frozen=True, slots=True)
class Fit:
    """What a comparison comes to. `idle`: the patterns that no mail host fits, in their order."""

    finding: Finding
    hosts: tuple[HostFit, ...]
    idle: tuple[str, ...]

    @property
    def misfits(self) -> tuple[str, ...]:
        """The mail hosts that fit no pattern."""
        return tuple(each.host.name for each in self.hosts if not each.fits)


def compare(hosts: Sequence[MailHost], patterns: Iterable[str]) -> Fit:
    """The mail hosts of a domain beside the patterns of its policy.

    What is no host name, an IP address for one, fits nothing.
    """
    known = [MXPattern(pattern) for pattern in patterns]
    matching = [_matching(host.name, known) for host in hosts]
    fits = tuple(
        HostFit(host, str(found[0]) if found else "")
        for host, found in zip(hosts, matching, strict=True)
    )
    busy = {pattern for found in matching for pattern in found}
    return Fit(_finding(fits), fits, tuple(str(each) for each in known if each not in busy))


def _parsed(name: str) -> str:
    try:
        return parse_host(name)
    except DomainNameError:
        return ""


def _matching(name: str, patterns: Sequence[MXPattern]) -> list[MXPattern]:
    parsed = _parsed(name)
    return [each for each in patterns if parsed and each.matches(parsed)]


def _finding(fits: Sequence[HostFit]) -> Finding:
    if not fits:
        return Finding.NO_MAIL
    if all(each.fits for each in fits):
        return Finding.FITS
    if not any(each.fits for each in fits):
        return Finding.NONE
    best = min(each.host.preference for each in fits)
    is_preferred_fit = any(each.fits for each in fits if each.host.preference == best)
    return Finding.PARTLY if is_preferred_fit else Finding.DETOUR
