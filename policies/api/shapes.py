"""Rows as JSON objects. Fields are named as rows and pages name them; times are in ISO 8601, UTC.

A field is never left out: what is not known is null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from policies.alerts.kinds import Kind as AlertKind
from policies.check.mailhosts import judge
from policies.history import Change
from policies.models import Alert, Fetch, MXCheck, PolicyException, PolicyRecord, Probe
from policies.mtasts import Domain, DomainNameError, Mode, parse_domain
from policies.mtasts.mxfit import Named
from policies.outcome_listing import Line
from policies.outcomes import History
from policies.outcomes.days import Numbers
from policies.status import Checked, Item
from policies.trouble import Trouble
from policies.views.excepting import Excepting

Object = dict[str, Any]


def moment(when: datetime | None) -> str | None:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def a_label(domain: str) -> str | None:
    """The domain in A-labels; None for what is no domain name."""
    try:
        return parse_domain(domain).ascii
    except DomainNameError:
        return None


def policy(record: PolicyRecord, now: datetime) -> Object:
    """A policy as lists have it: without its text."""
    return {
        "domain": record.name.ascii,
        "domain_unicode": record.domain,
        "mode": None if record.backoff else record.mode,
        "backoff": record.backoff,
        "is_valid": record.is_valid(now),
        "valid_end": moment(record.valid_end),
        "max_age": record.max_age,
        "mx": record.mx,
        "record_id": record.record_id,
        "inserted": moment(record.inserted),
        "last_use": moment(record.last_use),
        "last_update": moment(record.last_update),
        "refresh_due": moment(record.refresh_due),
        "failures": record.failures,
        "edited": moment(record.edited),
        "outcome": _outcome(record),
        "certificate_end": moment(record.certificate_end),
    }


def _outcome(record: PolicyRecord) -> Object | None:
    if not record.outcome_type:
        return None
    return {
        "policy_type": record.outcome_type,
        "result_type": record.outcome_failure or None,
        "failure_reason_code": record.outcome_reason or None,
        "at": moment(record.outcome_at),
    }


def whole_policy(
    record: PolicyRecord,
    check: MXCheck | None,
    probe: Probe | None,
    versions: list[Change],
    history: History,
    now: datetime,
) -> Object:
    """All that the page of a policy tells."""
    return policy(record, now) | {
        "version": record.version,
        "extensions": record.extensions,
        "policy_text": record.policy_text,
        "failed_fetch": _failed_fetch(record),
        "certificate": _certificate(record),
        "mail_hosts": _mail_hosts(record, check, probe),
        "versions": [version(each) for each in versions],
        "outcomes": [
            {"day": str(day.day), **numbers(day.numbers)} for day in reversed(history.days)
            if day.numbers.count
        ],
        "causes": [
            {
                "code": cause.outcome.code,
                "words": cause.outcome.words,
                "count": cause.count,
                "first_seen": moment(cause.first_seen),
                "last_seen": moment(cause.last_seen),
                "meaning": cause.advice.meaning,
                "who": str(cause.advice.who),
                "remedy": cause.advice.remedy,
            }
            for cause in history.causes
        ],
    }  # fmt: skip


def numbers(found: Numbers) -> Object:
    return {
        "lookups": found.count,
        "asked": found.asked,
        "success": found.success,
        "fallback": found.fallback,
        "failure": found.failure,
    }


def _failed_fetch(record: PolicyRecord) -> Object | None:
    if not record.failure_type:
        return None
    return {
        "record_id": record.failed_id,
        "result_type": record.failure_type,
        "failure_reason_code": record.failure_reason,
        "retry_at": moment(record.retry_at),
    }


def _certificate(record: PolicyRecord) -> Object | None:
    if not record.certificate:
        return None
    return {
        "issuer": record.certificate.get("issuer"),
        "names": record.certificate.get("names", []),
        "more_names": record.certificate.get("more_names", 0),
        "begin": moment(record.certificate_begin),
        "end": moment(record.certificate_end),
    }


def _probe(probe: Probe | None, host: str) -> Object | None:
    shown = probe.of(host) if probe else None
    if shown is None:
        return None
    names = ("is_definite", "message", "address", "version", "issuer", "names", "end")
    return {"reason": shown["reason"] or None, **{name: shown[name] for name in names}}


def _mail_hosts(record: PolicyRecord, check: MXCheck | None, probe: Probe | None) -> Object | None:
    fit = check.fit(record.mx) if check and not record.backoff else None
    if check is None or fit is None:
        return None
    judged = judge(Mode(record.mode), Named(check.named), fit)
    return {
        "finding": str(fit.finding),
        "level": str(judged.state),
        "says": judged.said,
        "named": check.named,
        "hosts": [
            {
                "preference": each.host.preference,
                "name": each.host.name,
                "pattern": each.pattern or None,
                "probe": _probe(probe, each.host.name),
            }
            for each in fit.hosts
        ],
        "idle_patterns": list(fit.idle),
        "checked_at": moment(check.checked_at),
        "since": moment(check.since),
        "failed_at": moment(check.failed_at),
        "failure": check.failure or None,
        "due": moment(check.due),
        "probed_at": moment(probe.probed_at) if probe else None,
    }


def version(change: Change) -> Object:
    row = change.version
    return {
        "record_id": row.record_id,
        "mode": row.mode,
        "policy_text": row.policy_text,
        "sha256": row.digest,
        "first_seen": moment(row.first_seen),
        "last_seen": moment(change.last_seen),
        "until": moment(change.until),
        "found_by": row.found_by,
        "remarkable": change.kind or None,
    }


def fetch(row: Fetch) -> Object:
    return {
        "id": row.pk,
        "domain": a_label(row.domain),
        "domain_unicode": row.domain,
        "source": row.source,
        "requested_by": row.requested_by.get_username() if row.requested_by else None,
        "state": row.state,
        "outcome": row.outcome or None,
        "changed": row.changed,
        "record_id": row.record_id,
        "result_type": row.failure_type or None,
        "failure_reason_code": row.failure_reason or None,
        "message": row.message,
        "queued_at": moment(row.queued_at),
        "started_at": moment(row.started_at),
        "finished_at": moment(row.finished_at),
    }


def outcome(line: Line) -> Object:
    row = line.row
    return {
        "day": str(row.day),
        "kind": row.kind,
        "domain": line.ascii or None,
        "domain_unicode": row.domain or None,
        "source": row.source,
        "policy_type": row.policy.type,
        "lookups": line.numbers.count,
        "success": line.numbers.success,
        "fallback": line.numbers.fallback,
        "failure": line.numbers.failure,
        "failures": [
            {
                "result_type": each.failure.result_type,
                "failure_reason_code": each.failure.reason or None,
                "words": each.outcome.words,
                "count": each.failure.count,
            }
            for each in line.details
        ],
        "first_seen": moment(row.first_seen),
        "last_seen": moment(row.last_seen),
    }


def alert(row: Alert) -> Object:
    kind = AlertKind(row.kind)
    by = row.acknowledged_by
    return {
        "id": row.pk,
        "domain": a_label(row.domain),
        "domain_unicode": row.domain,
        "kind": row.kind,
        "severity": row.severity,
        "state": row.state,
        "words": kind.words,
        "meaning": kind.meaning,
        "remedy": kind.remedy,
        "at": moment(row.opened_at),
        "found_by": row.found_by,
        "last_seen": moment(row.last_seen),
        "sightings": row.sightings,
        "confirmed_at": moment(row.confirmed_at),
        "closed_at": moment(row.closed_at),
        "closed_because": row.closed_because or None,
        "policy_end": moment(row.policy_end),
        "before_text": row.before_text,
        "after_text": row.after_text,
        "evidence": row.evidence,
        "acknowledged_at": moment(row.acknowledged_at),
        "acknowledged_by": by.get_username() if by else None,
        "note": row.note or None,
    }


def alert_in_short(row: Alert) -> Object:
    """An open alert, as the policy that it is about names it."""
    names = ("id", "kind", "severity", "state", "words", "at", "last_seen", "acknowledged_at")
    whole = alert(row)
    return {name: whole[name] for name in names}


def excepting(found: Excepting | None) -> Object | None:
    """The exception that counts for a policy, and what Postfix gets under it, by map."""
    if found is None:
        return None
    rule = found.rule
    return {
        "id": rule.id or None,
        "scope": str(rule.scope),
        "target": rule.target or None,
        "action": str(rule.action),
        "reason": rule.reason,
        "owner": rule.owner,
        "since": moment(rule.since),
        "until": moment(rule.until),
        "says": found.says,
        "replies": dict(found.replies),
    }


def exception(row: PolicyException, now: datetime) -> Object:
    return {
        "id": row.pk,
        "scope": row.scope,
        "target": row.target or None,
        "action": row.action,
        "state": row.state(now),
        "reason": row.reason,
        "owner": row.owner,
        "since": moment(row.since),
        "until": moment(row.until),
        "ended": moment(row.ended),
        "level": row.level or None,
        "match": row.match,
        "policy_text": row.policy_text or None,
        "uses": row.uses,
        "last_use": moment(row.last_use),
    }


def trouble(entry: Trouble) -> Object:
    words = entry.words()
    return {
        "kind": str(entry.kind),
        "level": str(entry.level),
        "title": entry.title,
        "domain": a_label(entry.domain) or entry.domain,
        "domain_unicode": entry.domain,
        "at": moment(entry.at),
        "says": words.says,
        "who": words.who,
        "todo": words.todo,
        "code": entry.code or None,
        "lookups": entry.lookups,
        "last_use": moment(entry.last_use),
    }


def status_item(item: Item) -> Object:
    return {
        "title": item.title,
        "level": str(item.state),
        "word": item.word,
        "todo": item.todo or None,
        "facts": [
            {"label": fact.label, "value": moment(fact.moment) if fact.is_moment else fact.text}
            for fact in item.facts
        ],
    }


def status_check(found: Checked) -> Object:
    return {
        "id": found.id,
        "level": str(found.state),
        "text": found.text,
        "hint": found.hint or None,
    }


def named(name: Domain) -> Object:
    return {"domain": name.ascii, "domain_unicode": name.unicode}
