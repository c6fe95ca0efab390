"""Replies to Postfix: an entry for `smtp_tls_policy_maps`, or why there is none.

Postfix splits an entry at blanks and commas, and reads braces. One value that breaks out of its
place adds an attribute, or makes Postfix defer all mail to the domain. So every value is held
against its grammar here again, though the parsers before should have stopped it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from policies.mtasts.domain import Domain, ends_in_number
from policies.mtasts.mx import MXPattern
from policies.mtasts.policy import Mode, Policy

MAX_REPLY = 90_000
"""Bytes of a reply without its netstring; Postfix takes 100,000."""

NOT_FOUND = b"NOTFOUND "
"""No policy that Postfix should enforce. The blank belongs to it."""

MALFORMED_REQUEST = b"PERM malformed request"
UNKNOWN_MAP = b"PERM unknown map"

NO_USABLE_MX = b"TEMP policy names no usable MX host"
"""An enforce policy that no MX host can match."""

INVALID_POLICY = b"TEMP policy has a value that Postfix must not see"
"""An enforce policy with a value outside its grammar. Log it: a parser let it through."""

POLICY_TOO_LARGE = b"TEMP policy too large"
"""An enforce policy whose `match` alone is over MAX_REPLY. Log it."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")

# For match= these mean names that Postfix fills in: "hostname" would let every MX host pass.
_POSTFIX_WORDS = frozenset({"hostname", "nexthop", "dot-nexthop"})

# Braces and controls break the entry, and lone surrogates are no UTF-8, which breaks it as well.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f{}\ud800-\udfff]")


def temporary(reason: str) -> bytes:
    """`TEMP reason`: Postfix defers the mail and logs the reason, as one line of ASCII."""
    printable = (char if char.isascii() and char.isprintable() else "?" for char in reason)
    return b"TEMP " + "".join(printable).encode("ascii")


def reply(policy: Policy, domain: Domain, *, tlsrpt: bool, policy_text: str, edited: bool) -> bytes:
    """The reply for a domain that has this policy; the same bytes for the same arguments.

    `tlsrpt`: with the attributes of Postfix ≥ 3.10, from which it reports and holds MX names to
    one label. They quote `policy_text`, the policy as served. `edited`: an operator changed the
    policy, so it must not appear in a report, and the attributes stay out.

    Returns an `OK` reply of at most MAX_REPLY bytes, NOT_FOUND (modes testing and none),
    NO_USABLE_MX, INVALID_POLICY or POLICY_TOO_LARGE; the last two deserve a log line.
    """
    if policy.mode is not Mode.ENFORCE:
        return NOT_FOUND
    with_attributes = tlsrpt and not edited
    if not all(_NAME.fullmatch(pattern.base) for pattern in policy.mx):
        return INVALID_POLICY
    if with_attributes and not _is_domain(domain.ascii):
        return INVALID_POLICY
    patterns = _usable(policy.mx)
    if not patterns:
        return NO_USABLE_MX
    entry = _secure(patterns)
    if not with_attributes:
        return _largest_that_fits([entry])
    reported = entry + _tlsrpt_attributes(domain, patterns)
    return _largest_that_fits([reported + _policy_strings(policy_text), reported, entry])


def required(level: str, match: Iterable[str]) -> bytes:
    """The reply where an operator requires TLS: level `encrypt`, or `secure` with these names.

    A name is a host's, `.example.com` for all below it, or Postfix's nexthop or dot-nexthop.
    Returns an `OK` reply, INVALID_POLICY or POLICY_TOO_LARGE.
    """
    if level == "encrypt":
        return b"OK encrypt"
    names = list(dict.fromkeys(match))
    if level != "secure" or not names or not all(map(_may_match, names)):
        return INVALID_POLICY
    return _largest_that_fits([f"OK secure match={':'.join(names)} servername=hostname"])


def _may_match(name: str) -> bool:
    """Whether Postfix may be given `name` to match, by an operator."""
    return name in {"nexthop", "dot-nexthop"} or (
        name not in _POSTFIX_WORDS and _is_domain(name.removeprefix("."))
    )


def _is_domain(name: str) -> bool:
    """Whether Postfix takes `name` for a domain, which may not look like an IP address."""
    return _NAME.fullmatch(name) is not None and not ends_in_number(name)


def _usable(mx: Iterable[MXPattern]) -> list[MXPattern]:
    """The patterns that Postfix may see, each once, in the policy's order.

    One IP address spoils the whole entry, and Postfix's own words match too much. Neither
    can be the name of an MX host that has a certificate, so leaving them out loses nothing.
    """
    return [
        pattern
        for pattern in dict.fromkeys(mx)
        if not pattern.is_address and pattern not in _POSTFIX_WORDS
    ]


def _secure(patterns: list[MXPattern]) -> str:
    names = (f".{pattern.base}" if pattern.wildcard else pattern for pattern in patterns)
    return f"OK secure match={':'.join(names)} servername=hostname"


def _tlsrpt_attributes(domain: Domain, patterns: list[MXPattern]) -> str:
    shown = "".join(f" mx_host_pattern={pattern}" for pattern in patterns)
    return f" policy_type=sts policy_domain={domain.ascii}{shown}"


def _policy_strings(policy_text: str) -> str:
    return "".join(f" {{ policy_string = {line} }}" for line in _policy_lines(policy_text))


def _policy_lines(policy_text: str) -> Iterator[str]:
    """The lines that can be quoted, without the blanks around them that Postfix cuts anyway."""
    for raw in policy_text.split("\n"):
        line = raw.removesuffix("\r").strip(" \t")
        if line and not _UNFIT.search(line):
            yield line


def _largest_that_fits(entries: Iterable[str]) -> bytes:
    """The first of `entries`, the longest first, that is not over the limit."""
    for entry in entries:
        encoded = entry.encode("utf-8")
        if len(encoded) <= MAX_REPLY:
            return encoded
    return POLICY_TOO_LARGE
