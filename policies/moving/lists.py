"""Domains from lines of text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from policies.moving.found import Bad, Found, Unreadable
from policies.mtasts import Domain, DomainNameError, parse_domain

# `-dump` has a count between the two, `-export` has none.
_TLSPOL = re.compile(r"(\S+)\s+(?:[0-9]+\s+)?(?:secure|dane|dane-only|verify|encrypt|may|none)\b.*")

# Only what the SMTP client writes, of whichever instance: "postfix-out/smtp[12]: 4Xy: to=<…>, …".
# A delivery that reached no host tells of no domain that takes mail.
_DELIVERY = re.compile(
    r"\bpostfix\S*/smtp\[[0-9]+\]: [0-9A-Za-z]+: to=<(.*?)>, (?:orig_to=<.*?>, )?relay=(?!none,)"
)


def domain_list(lines: Iterable[str]) -> Iterator[Found | Bad]:
    """One domain a line; what follows a "#" is a comment."""
    for number, line in enumerate(lines, start=1):
        name = line.partition("#")[0].strip()
        if name:
            yield _found(name, number)


def tlspol_dump(lines: Iterable[str]) -> Iterator[Found | Bad]:
    """What `postfix-tlspol -dump` or `-export` prints: domain, count of queries, answer.

    It holds neither the text of a policy nor its age, so only the domain counts.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _TLSPOL.fullmatch(line.strip())
        if match is None:
            yield Bad(f"line {number}", "expected a domain, a count and a TLS policy")
        else:
            yield _found(match[1], number)


def postfix_log(lines: Iterable[str]) -> Iterator[Found | Bad]:
    """The domains of recipients that Postfix's SMTP client reached a host for, most mails first.

    Raises Unreadable where no line is about a delivery.
    """
    mails: Counter[str] = Counter()
    bad: dict[str, Bad] = {}
    domains: dict[str, Domain] = {}
    for number, line in enumerate(lines, start=1):
        match = _DELIVERY.search(line)
        if match is None:
            continue
        name = match[1].rpartition("@")[2].lower()
        mails[name] += 1
        if mails[name] > 1:
            continue
        found = _found(name, number)
        if isinstance(found, Bad):
            bad[name] = found
        else:
            domains[name] = found.domain
    if not mails:
        raise Unreadable(
            "No line is about a delivery by Postfix: expected"
            " 'postfix/smtp[…]: …: to=<user@example.org>, relay=…'."
        )
    yield from bad.values()
    yield from (Found(domains[name]) for name, _ in mails.most_common() if name in domains)


def _found(name: str, number: int) -> Found | Bad:
    try:
        return Found(parse_domain(name))
    except DomainNameError as error:
        return Bad(f"line {number}", f"{name[:100]!r} is no domain name: {error}")
