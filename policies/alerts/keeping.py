"""Alerts are opened, seen again, confirmed and closed here, in the caller's transaction."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from policies.alerts import evidence, judge, outbox, weather
from policies.alerts.judge import Standing
from policies.alerts.kinds import ALL_BITS, NOTICES, Closed, Kind, Severity, State, bits
from policies.alerts.sighting import SPACING, Sighting
from policies.alerts.weather import Way, Weather
from policies.models import Alert, PolicyRecord
from policies.mtasts import Mode, MXPattern, Policy, parse_domain
from policies.mtasts.errors import DNSError, FetchError, NoPolicyError, NoRecordError

log = logging.getLogger(__name__)

CONFIRMED_AFTER = timedelta(hours=24)
CONFIRMED_SIGHTINGS = 3
"""A warning is confirmed when it was seen so often, over so long."""

REOPENED = timedelta(hours=24)
"""What comes back within so long is the same change: one of several nameservers, for example."""

SETTLED = timedelta(days=30)
"""A notice that is so old has become the way things are."""

UNSEEN = timedelta(days=30)
"""Nobody has asked for the domain in so long, or its policy has ended so long ago."""

KEPT = timedelta(days=400)
"""How long a closed alert is kept: a year and the month in which it is looked for."""

BATCH = 500


def note(sightings: Sequence[Sighting]) -> None:
    """Write down what was seen of up to 500 domains, each once. To be called in a transaction."""
    if not sightings:
        return
    found: dict[str, dict[Kind, Alert]] = defaultdict(dict)
    domains = [each.domain for each in sightings]
    for alert in Alert.objects.filter(domain__in=domains, closed_at=None):
        found[alert.domain][Kind(alert.kind)] = alert
    sky = _Sky(sightings)
    # In one order everywhere, or two who write many rows wait for each other.
    for each in sorted(sightings, key=lambda sighting: sighting.domain):
        _note(each, found[each.domain], sky)
    _mark(sightings)


class _Sky:
    """The weather, read when it is first asked for."""

    def __init__(self, sightings: Sequence[Sighting]) -> None:
        self._sightings = sightings

    @cached_property
    def _weather(self) -> Weather:
        denied = {each.domain: each.at for each in self._sightings if _is_denial(each)}
        return weather.read(max(each.at for each in self._sightings), denied)

    def hides(self, sighting: Sighting, kind: Kind) -> bool:
        """Whether this is seen because something of ours is broken."""
        if kind.severity is Severity.NOTICE:
            return False
        domain = sighting.domain
        is_denied = kind in weather.DENIALS and _is_denial(sighting)
        if self._weather.is_ours(kind, domain) or (
            is_denied and self._weather.denies_everybody(domain)
        ):
            log.warning(
                "no alert: most domains fail alike", extra={"domain": domain, "kind": str(kind)}
            )
            return True
        if kind is not Kind.REFRESH_FAILING or not _fails_by_dns(sighting):
            return False
        since = sighting.held.failing_since or sighting.at
        return not weather.dns_worked_since(since, domain, sighting.at)

    def bears_out(self, sighting: Sighting, kind: Kind, since: datetime) -> bool:
        """Whether this counts beside what was seen up to then.

        A resolver that denies every name can be told on a small site only by its never naming
        anything: what it denied once counts again when it has named something in between.
        """
        if kind not in weather.DENIALS or not _is_denial(sighting):
            return True
        if self._weather.was_proven_since(since):
            return True
        return weather.names_mail_hosts_since(since, sighting.domain)


def _is_denial(sighting: Sighting) -> bool:
    """Whether DNS has denied all that was asked of it, the record and the policy host if it was."""
    if not isinstance(sighting.look, NoRecordError):
        return False
    fetched = sighting.fetched
    if isinstance(fetched, NoPolicyError):
        return fetched.certificate is None  # else a host said so
    if isinstance(fetched, FetchError):
        return weather.way("", fetched.reason) is Way.DNS
    return fetched is None


def _fails_by_dns(sighting: Sighting) -> bool:
    if isinstance(sighting.look, DNSError):
        return True
    last = sighting.last_failure
    reason = getattr(sighting.fetched, "reason", "") or (last.reason_code if last else "")
    way = weather.way("", reason)
    return way is Way.DNS or (way is Way.HOST and _is_denial(sighting))


def _note(sighting: Sighting, open_: dict[Kind, Alert], sky: _Sky) -> None:
    for kind, alert in sorted(open_.items()):
        match judge.standing(
            kind, _policy_before(alert), sighting.kinds, sighting.look, sighting.fetched
        ):
            case Standing.SEEN if not sky.hides(sighting, kind):
                if kind in NOTICES and kind in sighting.kinds:
                    _renew(alert, sighting)
                if sky.bears_out(sighting, kind, alert.last_seen):
                    _see_again(alert, sighting)
            case Standing.WELL:
                _close([alert], Closed.WELL, sighting.at)
            case Standing.OPTED_OUT:
                _close([alert], Closed.OPTED_OUT, sighting.at)
    for kind in sorted(sighting.kinds - open_.keys()):
        if not sky.hides(sighting, kind):
            _open(kind, sighting, sky)


def _open(kind: Kind, sighting: Sighting, sky: _Sky) -> None:
    if _reopen(kind, sighting, sky):
        return
    alert = Alert(
        domain=sighting.domain,
        kind=str(kind),
        severity=str(kind.severity),
        state=str(State.SUSPECTED),
        found_by=sighting.source,
        opened_at=sighting.at,
        last_seen=sighting.at,
        policy_end=sighting.policy_end,
        before_text=sighting.before_text,
        after_text=evidence.after_text(sighting.fetched),
        evidence=evidence.build(
            sighting.before,
            sighting.look,
            sighting.fetched,
            sighting.last_failure if kind is Kind.REFRESH_FAILING else None,
        ),
    )
    # Another process may have seen it at the same time: then theirs stands.
    Alert.objects.bulk_create([alert], ignore_conflicts=True)
    log.warning(
        "alert opened", extra={"domain": parse_domain(sighting.domain).ascii, "kind": str(kind)}
    )


def _reopen(kind: Kind, sighting: Sighting, sky: _Sky) -> bool:
    """Whether the same was closed just now, so that no new one is to be opened."""
    closed = Alert.objects.filter(
        domain=sighting.domain,
        kind=str(kind),
        closed_at__gt=sighting.at - REOPENED,
        closed_because=str(Closed.WELL),
    ).first()
    if closed is None or closed.closed_at is None:
        return False
    if closed.state == State.CONFIRMED and not sky.bears_out(sighting, kind, closed.closed_at):
        return True  # what is told at once has to be certain
    try:
        with transaction.atomic():
            Alert.objects.filter(pk=closed.pk).update(
                closed_at=None, closed_because="", reopened=F("reopened") + 1
            )
    except IntegrityError:
        return True  # another process was quicker, with one of its own
    closed.refresh_from_db()
    if closed.state == State.CONFIRMED and closed.severity == Severity.WARNING:
        outbox.put_alert(closed, sighting.at)
    _see_again(closed, sighting)  # that it was well in between shows that DNS was
    return True


def _see_again(alert: Alert, sighting: Sighting) -> None:
    now = sighting.at
    seen = Alert.objects.filter(pk=alert.pk, closed_at=None, last_seen__lte=now - SPACING)
    seen.update(last_seen=now, sightings=F("sightings") + 1)
    confirmed = Alert.objects.filter(
        pk=alert.pk,
        closed_at=None,
        state=str(State.SUSPECTED),
        sightings__gte=CONFIRMED_SIGHTINGS,
        opened_at__lte=now - CONFIRMED_AFTER,
        last_seen__gte=F("opened_at") + CONFIRMED_AFTER,
    )
    if confirmed.update(state=str(State.CONFIRMED), confirmed_at=now):
        alert.refresh_from_db()
        if alert.severity == Severity.WARNING:
            outbox.put_alert(alert, now)


def _renew(alert: Alert, sighting: Sighting) -> None:
    """The domain has gone another step in the same way: the alert shows what is served now.

    The measure for its end stays what was held before the first step.
    """
    shown = alert.evidence | evidence.build(sighting.before, sighting.look, sighting.fetched)
    Alert.objects.filter(pk=alert.pk, closed_at=None).update(
        evidence=shown | {"before": alert.before},
        after_text=evidence.after_text(sighting.fetched),
    )
    log.warning(
        "another step of an open alert",
        extra={"domain": parse_domain(sighting.domain).ascii, "kind": alert.kind},
    )


def _close(alerts: Iterable[Alert], because: Closed, now: datetime) -> None:
    for alert in alerts:
        ended = Alert.objects.filter(pk=alert.pk, closed_at=None)
        if ended.update(closed_at=now, closed_because=str(because)):
            log.info("alert closed", extra={"domain": alert.domain, "kind": alert.kind})
            outbox.put_end(alert, because, now)


def _policy_before(alert: Alert) -> Policy | None:
    """The policy that was held when an alert opened, as far as weakenings are told by it."""
    before = alert.before
    if not before.get("mx"):
        return None
    return Policy(
        version="STSv1",
        mode=Mode(before["mode"]),
        mx=[MXPattern(pattern) for pattern in before["mx"]],
        max_age=before["max_age"],
        extensions=[],
    )


def _mark(sightings: Sequence[Sighting]) -> None:
    """Have each row say which of its domain's alerts are open, so that lookups need not ask."""
    open_: dict[str, set[Kind]] = {each.domain: set() for each in sightings}
    still = Alert.objects.filter(domain__in=list(open_), closed_at=None)
    for domain, kind in still.values_list("domain", "kind"):
        open_[domain].add(Kind(kind))
    for each in sorted(sightings, key=lambda sighting: sighting.domain):
        PolicyRecord.objects.filter(domain=each.domain).update(
            open_alerts=bits(frozenset(open_[each.domain])) or None,
            alert_noted=each.at if each.kinds else None,
        )


def forget(domains: Sequence[str], now: datetime) -> None:
    """Somebody deleted these domains' policies (as rows name them): their alerts end."""
    for start in range(0, len(domains), BATCH):
        batch = domains[start : start + BATCH]
        _close(Alert.objects.filter(domain__in=batch, closed_at=None), Closed.FORGOTTEN, now)


def tidy(now: datetime) -> None:
    """Close what has become history, forget what is old, and mend rows that know nothing of it.

    Each by itself: whoever writes what was seen locks rows first and their alerts then, and must
    not meet here somebody who does it the other way round.
    """
    over = _still().filter(_is_history(now)).order_by()
    if chosen := list(over.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            for alert in over.filter(pk__in=chosen):
                is_notice = alert.severity == Severity.NOTICE
                _close([alert], Closed.SETTLED if is_notice else Closed.ENDED, now)
    for pk in list(_unaware().values_list("pk", flat=True)[:BATCH]):
        PolicyRecord.objects.filter(pk=pk, open_alerts=None).update(open_alerts=ALL_BITS)
    # In the order of its index: in the list's own, SQLite would read all alerts there are.
    old = Alert.objects.filter(closed_at__lt=now - KEPT).order_by("closed_at")
    if chosen := list(old.values_list("pk", flat=True)[:BATCH]):
        Alert.objects.filter(pk__in=chosen).delete()


def _still() -> QuerySet[Alert]:
    return Alert.objects.filter(closed_at=None)


def _is_history(now: datetime) -> Q:
    """Of open alerts: nobody waits for their end any more. All of it is in the index of these."""
    settled = Q(severity=str(Severity.NOTICE), opened_at__lt=now - SETTLED)
    unseen = Q(last_seen__lt=now - UNSEEN) | Q(policy_end__lt=now - UNSEEN)
    known = Q(policy_end__lt=now, acknowledged_at__isnull=False)
    return settled | Q(unseen | known, severity=str(Severity.WARNING))


def _unaware() -> QuerySet[PolicyRecord]:
    """Rows that were deleted and came back; their next look says which alerts still stand.

    By what two small indexes hold of alerts and of rows that know of theirs.
    """
    aware = PolicyRecord.objects.filter(open_alerts__isnull=False).order_by()
    lost = _still().exclude(domain__in=aware.values("domain")).order_by()
    return PolicyRecord.objects.filter(
        domain__in=lost.values("domain"), open_alerts__isnull=True
    ).order_by("domain")
