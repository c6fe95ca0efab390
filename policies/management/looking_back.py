"""`mtasts history` and `mtasts alerts`: what became of policies, and what is wrong with some."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from policies import history, world
from policies.alerts import texts
from policies.alerts.kinds import Closed, Kind
from policies.history import Change
from policies.models import Alert, PolicyRecord
from policies.mtasts import DomainNameError, parse_domain

EX_USAGE = 64
CHUNK = 500


class LookingBack:
    """The two actions; each returns its exit status."""

    def __init__(self, command: BaseCommand) -> None:
        self._command = command  # whose streams are known only when it runs

    def add_history(self, action: ArgumentParser) -> None:
        action.add_argument("domain", metavar="DOMAIN")
        _add(action, self.history)

    def add_alerts(self, action: ArgumentParser) -> None:
        action.add_argument("--all", action="store_true", help="those that are over, too")
        _add(action, self.alerts)

    def history(self, domain: str, *, json: bool, **_: Any) -> int:
        try:
            name = parse_domain(domain)
        except DomainNameError as error:
            self._command.stderr.write(f"{domain[:100]!r} is no domain name: {error}")
            return EX_USAGE
        row = PolicyRecord.objects.filter(domain=name.unicode).first()
        for change in history.of(name.unicode, now=world.default().now(), row=row):
            self._write(_change_json(name.ascii, change) if json else _change_words(change))
        return 0

    def alerts(self, *, all: bool, json: bool, **_: Any) -> int:  # noqa: A002 - the option's name
        for alert in _alerts(over=all):
            self._write(texts.as_object(alert) if json else " ".join(_alert_words(alert)))
        return 0

    def _write(self, line: dict[str, Any] | str) -> None:
        self._command.stdout.write(
            line if isinstance(line, str) else json.dumps(line, ensure_ascii=True)
        )


def _add(action: ArgumentParser, run: Any) -> None:
    action.set_defaults(run=run)
    action.add_argument("--json", action="store_true", help="print JSON, one object a line")


def _alerts(*, over: bool) -> Iterator[Alert]:
    """Newest first; `over`: with those that are closed."""
    alerts = Alert.objects.defer("before_text", "after_text", "evidence")
    if not over:
        alerts = alerts.filter(closed_at=None)
    return alerts.iterator(chunk_size=CHUNK)


def _alert_words(alert: Alert) -> Iterable[str]:
    yield f"{texts.a_label(alert.domain)}:"
    yield f"{alert.severity}, {Kind(alert.kind).words}, {alert.state},"
    yield f"since {alert.opened_at:%Y-%m-%d %H:%M}, seen {alert.sightings}x"
    if alert.acknowledged_at:
        yield "(acknowledged)"
    if alert.closed_at:
        yield f"(closed {alert.closed_at:%Y-%m-%d %H:%M}: {Closed(alert.closed_because).words})"


def _change_json(domain: str, change: Change) -> dict[str, Any]:
    version = change.version
    return {
        "domain": domain,
        "record_id": version.record_id,
        "mode": version.mode,
        "policy_text": version.policy_text,
        "sha256": version.digest,
        "first_seen": version.first_seen.isoformat(),
        "last_seen": change.last_seen.isoformat(),
        "until": _iso(change.until),
        "found_by": version.found_by,
        "remarkable": change.kind or None,
    }


def _change_words(change: Change) -> str:
    version = change.version
    end = f"{change.until:%Y-%m-%d %H:%M}" if change.until else "now"
    kind = f"  ({change.kind})" if change.kind else ""
    return (
        f"{version.first_seen:%Y-%m-%d %H:%M} to {end}  id {version.record_id or '-'}"
        f"  {version.mode}  sha256 {version.digest[:16]}  by {version.found_by}{kind}"
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
