"""A socketmap request, `NAME SP KEY`: which map Postfix asks, and for which policy domain."""

from __future__ import annotations

import re
from dataclasses import dataclass

from policies.mtasts.domain import Domain, parse_domain
from policies.mtasts.errors import DomainNameError
from policies.socketmap.reply import MALFORMED_REQUEST, NOT_FOUND, UNKNOWN_MAP

# Map name: whether its replies carry TLSRPT attributes. The second pair are the names that
# other servers of this kind have, so that a main.cf need not change.
_MAPS = {
    b"postfix": False,
    b"postfix-tlsrpt": True,
    b"QUERY": False,
    b"QUERYwithTLSRPT": True,
}

# "25" or "submission". No "/": the key of an LMTP socket is its path.
_SERVICE = re.compile(r"[!-.0-9;-~]+")


@dataclass(frozen=True, slots=True)
class Query:
    """A next hop that may have a policy. `tlsrpt`: Postfix ≥ 3.10 asks, and wants to report."""

    domain: Domain
    tlsrpt: bool


def parse_request(request: bytes) -> Query | bytes:
    """What to look up, or the reply where there is nothing to look up.

    NOT_FOUND answers every next hop without a policy domain: the parent domains that Postfix
    tries (".example.com"), hosts in brackets, address literals (RFC 8461 section 3.4), paths of
    sockets, and whatever else is no domain name.
    """
    name, blank, key = request.partition(b" ")
    if not blank:
        return MALFORMED_REQUEST
    tlsrpt = _MAPS.get(name)
    if tlsrpt is None:
        return UNKNOWN_MAP
    domain = _policy_domain(key)
    return NOT_FOUND if domain is None else Query(domain, tlsrpt)


def _policy_domain(key: bytes) -> Domain | None:
    """The domain of the next hop `domain` or `domain:service`."""
    try:
        host, colon, service = key.decode().partition(":")
        if colon and not _SERVICE.fullmatch(service):
            return None
        return parse_domain(host)
    except (UnicodeDecodeError, DomainNameError):
        return None
