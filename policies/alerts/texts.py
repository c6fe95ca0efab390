"""Alerts in words, for mail, and as JSON, for webhooks and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from policies.alerts.kinds import Closed, Kind, Severity
from policies.models import Alert
from policies.mtasts import DomainNameError, parse_domain

LISTED = 50
"""Alerts that one section of a digest names."""

IN_FORCE = "The cached policy stays in force until"


def address(alert: Alert) -> str:
    """The URL of an alert's page; its path where PUBLIC_URL is not set."""
    path = reverse("policies:alert", args=[alert.pk])
    return f"{settings.MTASTS.public_url}{path}"


def as_object(alert: Alert) -> dict[str, Any]:
    """The alert's fields, as `mtasts alerts --json` and webhooks give them."""
    return {
        "domain": a_label(alert.domain),
        "kind": alert.kind,
        "severity": alert.severity,
        "state": alert.state,
        "at": _iso(alert.opened_at),
        "id": alert.pk,
        "last_seen": _iso(alert.last_seen),
        "sightings": alert.sightings,
        "confirmed_at": _iso(alert.confirmed_at),
        "closed_at": _iso(alert.closed_at),
        "closed_because": alert.closed_because or None,
        "acknowledged_at": _iso(alert.acknowledged_at),
        "policy_end": _iso(alert.policy_end),
    }


def json_of_alert(alert: Alert, event: str, now: datetime) -> str:
    """The body of a webhook: small, and with what one needs to find the rest."""
    kind = Kind(alert.kind)
    return json.dumps(
        {
            "event": event,
            "sent_for": _iso(now),
            **as_object(alert),
            "words": kind.words,
            "meaning": kind.meaning,
            "url": address(alert),
        },
        ensure_ascii=True,
    )


def mail_of_alert(alert: Alert) -> tuple[str, str]:
    """Subject and body."""
    kind = Kind(alert.kind)
    subject = f"MTA-STS: {kind.words}: {a_label(alert.domain)}"
    return subject, "\n".join(_long(alert, kind)) + "\n"


def _long(alert: Alert, kind: Kind) -> Iterable[str]:
    yield f"{a_label(alert.domain)}: {kind.words}"
    yield ""
    yield kind.meaning
    yield ""
    yield f"First seen {_shown(alert.opened_at)}, last seen {_shown(alert.last_seen)},"
    yield f"{alert.sightings} times."
    for line in evidence_lines(alert):
        yield f"  {line}"
    if alert.policy_end:
        yield f"{IN_FORCE} {_shown(alert.policy_end)}, as RFC 8461 demands."
    yield ""
    yield f"What to do: {kind.remedy}"
    yield address(alert)


def evidence_lines(alert: Alert) -> Iterable[str]:
    """What was seen, a line for each thing."""
    evidence = alert.evidence
    dns, failure = evidence.get("dns", {}), evidence.get("failure")
    if dns.get("error"):
        yield f"DNS: {dns['error']}"
    elif dns.get("txt"):
        yield f"DNS: {dns['txt'][0]}"
    if failure:
        yield f"Policy host: {failure['message']} ({failure['type']}: {failure['reason']})"
    if certificate := evidence.get("certificate"):
        names = ", ".join(certificate["names"][:5]) or "no name that counts"
        yield f"Certificate: {names}; by {certificate['issuer']}; until {certificate['not_after']}"
    before, after = evidence.get("before", {}), evidence.get("after")
    if before:
        yield f"Held before: {_policy(before)}"
    if after:
        yield f"Served now: {_policy(after)}"


def _policy(policy: dict[str, Any]) -> str:
    mx = ", ".join(policy["mx"][:20])
    return f"mode {policy['mode']}, max_age {policy['max_age']}, mx {mx or 'none'}"


def digest(
    opened: Sequence[Alert],
    still: Sequence[Alert],
    closed: Sequence[Alert],
    ending: Sequence[str],
    ahead: Sequence[str] = (),
) -> tuple[str, str]:
    """Subject and body of a day's mail; both empty where there is nothing to say.

    `opened` and `closed`: since the digest before; `still`: all others that are open. `ending`:
    lines on what else comes to an end; `ahead`: lines on what will go wrong.
    """
    sections = [
        ("New", [_line(alert) for alert in opened]),
        ("Still open", [_line(alert) for alert in still]),
        ("Closed", [f"{_line(alert)} ({Closed(alert.closed_because).words})" for alert in closed]),
        ("About to end", list(ending)),
        ("Trouble ahead", list(ahead)),
    ]
    if not any(lines for _, lines in sections):
        return "", ""
    warnings = sum(alert.severity == Severity.WARNING for alert in (*opened, *still))
    subject = (
        f"MTA-STS: {len(opened)} new, {len(opened) + len(still)} open"
        f" ({warnings} {'warning' if warnings == 1 else 'warnings'})"
        f"{f', {len(ahead)} ahead' if ahead else ''}"
    )
    text: list[str] = []
    for title, lines in sections:
        if lines:
            text += [f"{title}:", *(f"  {line}" for line in lines[:LISTED])]
            if len(lines) > LISTED:
                text.append(f"  … and {len(lines) - LISTED} more")
            text.append("")
    pages = ("policies:alerts", "policies:trouble") if ahead else ("policies:alerts",)
    text += [f"{settings.MTASTS.public_url}{reverse(page)}" for page in pages]
    return subject, "\n".join(text) + "\n"


def _line(alert: Alert) -> str:
    known = ", acknowledged" if alert.acknowledged_at else ""
    return (
        f"{alert.severity}: {a_label(alert.domain)}: {Kind(alert.kind).words}"
        f" ({alert.state}, since {_shown(alert.opened_at)}{known})"
    )


def a_label(domain: str) -> str:
    try:
        return parse_domain(domain).ascii
    except DomainNameError:  # a row that somebody else wrote
        return domain


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
