"""The page of one policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.admin.models import LogEntry
from django.contrib.auth.decorators import permission_required
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from policies import alert_listing, mxcheck, outcomes, probing
from policies import history as versions
from policies.check.mailhosts import Judged, judge
from policies.models import Fetch, MXCheck, PolicyRecord, Probe
from policies.mtasts import Mode
from policies.mtasts.mxfit import Fit, HostFit, Named
from policies.tlsrpt import words
from policies.views import excepting
from policies.views.common import VIEW, find
from policies.views.rows import doing, outcome

FETCHES_SHOWN = 50
VERSIONS_SHOWN = 10
LOG_SHOWN = 20
CLOCKS = timedelta(seconds=1)
"""How far outside its fetch a version may be dated: the clock is read once for each."""


@dataclass(frozen=True, slots=True)
class Life:
    """Seconds that a policy has left, of how many, and what to think of it."""

    left: float
    total: float
    kind: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetch of the log. `version`: the key of the version that it found, 0 for none shown."""

    fetch: Fetch
    version: int


@dataclass(frozen=True, slots=True)
class Published:
    """The DNS record as it was seen last. `id` is empty where there was none, or no good one."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """What a mail host showed when it was probed. `kind`: the badge's."""

    word: str
    kind: str
    details: str
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail hosts of a domain, as its page shows them.

    `matters`: there is a policy that they have to fit. The others are None for what is unknown.
    """

    matters: bool
    check: MXCheck | None = None
    fit: Fit | None = None
    judged: Judged | None = None
    probe: Probe | None = None

    @property
    def hosts(self) -> list[tuple[HostFit, Shown | None]]:
        """Each host with what it showed when it was probed."""
        fits = self.fit.hosts if self.fit else ()
        return [(each, _shown(self.probe, each.host.name)) for each in fits]


@require_safe
@permission_required(VIEW, raise_exception=True)
def detail(request: HttpRequest, domain: str) -> HttpResponse:
    """`/policies/<domain>/`: all that is known of one policy."""
    record, now = find(domain), timezone.now()
    fetches = list(
        Fetch.objects.filter(domain=record.domain).select_related("requested_by")[:FETCHES_SHOWN]
    )
    open_fetch = next((fetch for fetch in fetches if fetch.is_open), None)
    changes_ = versions.of(record.domain, VERSIONS_SHOWN, now=now, row=record)
    return render(
        request,
        "policies/detail.html",
        {
            "record": record,
            "name": record.name,
            "valid": record.is_valid(now),
            "now": now,
            "outcome": outcome(record),
            "failure": words.outcome("sts", record.failure_type, record.failure_reason),
            "fetches": [Fetched(fetch, _version(fetch, changes_)) for fetch in fetches],
            "published": _published(record, fetches),
            "doing": doing(record, open_fetch, now),
            "bad_line": _bad_line(record, fetches),
            "history": outcomes.history(record.domain, now),
            "alerts": alert_listing.of_policy(record),
            "versions": changes_,
            "log": _log(record),
            "life": _life(record, now),
            "excepted": excepting.of_row(record, now),
            "mail": _mail(record),
        },
    )


def _bad_line(record: PolicyRecord, fetches: list[Fetch]) -> int:
    """The line of a text that did not parse; 0 for none."""
    if not record.backoff or not record.policy_text:
        return 0
    for fetch in fetches:
        first, _, rest = fetch.message.partition(" ")
        number = rest.partition(":")[0]
        if first == "line" and number.isascii() and number.isdecimal():
            return int(number)
    return 0


def _version(fetch: Fetch, changes_: list[versions.Change]) -> int:
    """The key of the version that this fetch found: the one that was first seen as it ended."""
    if not fetch.changed or fetch.finished_at is None:
        return 0
    begun = fetch.started_at or fetch.queued_at
    for change in changes_:
        version = change.version
        if (
            version.record_id == fetch.record_id
            and begun - CLOCKS <= version.first_seen <= fetch.finished_at + CLOCKS
        ):
            return version.pk
    return 0


def _published(record: PolicyRecord, fetches: list[Fetch]) -> Published:
    """By the last fetch that stored something, or a later one that at least came by the record."""
    seen = [Published(record.record_id, record.last_update)]
    for fetch in fetches:
        if fetch.finished_at is None:
            continue
        if fetch.outcome == Fetch.Outcome.NO_RECORD:
            seen.append(Published("", fetch.finished_at))
        elif fetch.record_id:
            seen.append(Published(fetch.record_id, fetch.finished_at))
    return max(seen, key=lambda each: each.at)


def _log(record: PolicyRecord) -> list[LogEntry]:
    """What people did to this policy, latest first."""
    kind = ContentType.objects.get_for_model(PolicyRecord)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(record.pk))
    return list(entries.select_related("user").order_by("-action_time")[:LOG_SHOWN])


def _mail(record: PolicyRecord) -> Mail:
    """What DNS said last of the mail hosts, beside the policy as it is now."""
    found, mode = mxcheck.of(record.domain), Mode(record.mode)
    if record.backoff or mode is Mode.NONE:
        return Mail(matters=False)
    fit = found.fit(record.mx) if found else None
    judged = judge(mode, Named(found.named), fit) if found and fit else None
    return Mail(True, found, fit, judged, probing.of(record.domain))


def _shown(probe: Probe | None, host: str) -> Shown | None:
    result = probe.of(host) if probe else None
    if result is None:
        return None
    end = datetime.fromisoformat(result["end"]) if result["end"] else None
    if not result["reason"]:
        return Shown("verified", "ok", f"{result['version']}, issued by {result['issuer']}", end)
    kind = "bad" if result["is_definite"] else "warn"
    return Shown(result["reason"], kind, result["message"], end)


def _life(record: PolicyRecord, now: datetime) -> Life | None:
    """How much of the policy's life is left; None where there is no policy."""
    if record.backoff or not record.max_age:
        return None
    left = max(0.0, (record.valid_end - now).total_seconds())
    share = left / record.max_age
    return Life(left, record.max_age, "ok" if share > 0.25 else "warn" if left else "bad")
