"""The list of policies, the page of one, and what can be done with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.decorators import permission_required
from django.contrib.contenttypes.models import ContentType
from django.db.models import Max
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from policies import (
    alert_listing,
    audit,
    cache,
    changes,
    listing,
    mxcheck,
    outcomes,
    probing,
    summary,
    tasks,
    tiles,
)
from policies import history as versions
from policies.alerts.kinds import Kind, of_bits
from policies.check.mailhosts import Judged, judge
from policies.models import Fetch, MXCheck, PolicyRecord, Probe
from policies.mtasts import Domain, DomainNameError, Mode, parse_domain
from policies.mtasts.mxfit import Fit, HostFit, Named
from policies.narrowing import FEW
from policies.socketmap.exceptions import Rule
from policies.tlsrpt import words
from policies.views import excepting

VIEW = "policies.view_policyrecord"
REFETCH = "policies.refetch_policyrecord"
DELETE = "policies.delete_policyrecord"

FETCHES_SHOWN = 50
VERSIONS_SHOWN = 10
LOG_SHOWN = 20
CLOCKS = timedelta(seconds=1)
"""How far outside its fetch a version may be dated: the clock is read once for each."""

SELECTED_LIMIT = 500
"""Domains that one selection may hold; the list shows 50 a page."""


SOON, LATER = 1, 4
"""Seconds until an open row asks for itself again. A job has rows by the thousand, which wait."""


@dataclass(frozen=True, slots=True)
class Row:
    """A policy and its last fetch by an operator, as the list shows them.

    `state`: what its fetch is doing, where one is open; empty where none is.
    """

    record: PolicyRecord
    fetch: Fetch | None
    outcome: words.Outcome | None
    expired: bool
    state: str
    exception: Rule | None = None

    @property
    def pace(self) -> int:
        """Seconds until the row asks for itself again."""
        return SOON if self.fetch and self.fetch.is_open else LATER

    @property
    def alerts(self) -> str:
        """The kinds of its open alerts, in words."""
        kinds = of_bits(self.record.open_alerts or 0)
        return ", ".join(kind.words for kind in Kind if kind in kinds)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list that sorts it. `query`: so, or the other way around where it does
    already; `direction`: how it does, as `aria-sort` says it; empty where it does not."""

    query: str
    direction: str


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
def index(request: HttpRequest) -> HttpResponse:
    """`/policies/`: the list."""
    filters, now = listing.Filters.read(request.GET), timezone.now()
    page = listing.page(
        PolicyRecord.objects.defer("policy_text"),
        filters.order,
        filters.conditions(now),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
        counting=True,
    )
    rows = _rows(page.rows)
    counts = summary.latest(now)
    return render(
        request,
        "policies/list.html",
        {
            "filters": filters,
            "few": FEW,
            "instead": _instead(page, filters),
            "tiles": tiles.tiles(counts.counts, filters),
            "counts": counts,
            "chips": tiles.chips(filters),
            "seq": changes.newest(),
            "modes": listing.MODES,
            "outcomes": listing.OUTCOMES,
            "uses": listing.USED,
            "states": listing.STATES,
            "rows": rows,
            "matching": _matching(page, filters, counts.counts),
            "open": any(row.state for row in rows),
            "first": filters.query() if page.before else "",
            "previous": page.before and f"{filters.query(before=page.before)}",
            "next": page.after and f"{filters.query(after=page.after)}",
            "columns": _columns(page, filters),
            "here": request.get_full_path(),
            "socketmap": settings.MTASTS.socketmap_listen[0],
        },
    )


@require_safe
@permission_required(VIEW, raise_exception=True)
def changed(request: HttpRequest) -> HttpResponse:
    """How many policies have changed since the list was shown; nothing for none."""
    since = listing.row_number(request.GET.get("since", ""))
    number = changes.count_since(since) if since is not None else 0
    here = request.headers.get("HX-Current-URL", reverse("policies:list"))
    return render(request, "policies/changed.html", {"number": number, "here": here})


@require_safe
@permission_required(VIEW, raise_exception=True)
def row(request: HttpRequest, domain: str) -> HttpResponse:
    """One row of the list, which asks for itself again while a fetch of it is open."""
    try:
        record = _find(domain)
    except Http404:
        return HttpResponse()  # deleted meanwhile: the row goes
    return render(request, "policies/row.html", {"row": _rows([record])[0]})


@require_safe
@permission_required(VIEW, raise_exception=True)
def detail(request: HttpRequest, domain: str) -> HttpResponse:
    """`/policies/<domain>/`: all that is known of one policy."""
    record, now = _find(domain), timezone.now()
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
            "outcome": _outcome(record),
            "failure": words.outcome("sts", record.failure_type, record.failure_reason),
            "fetches": [Fetched(fetch, _version(fetch, changes_)) for fetch in fetches],
            "published": _published(record, fetches),
            "doing": _doing(record, open_fetch, now),
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


@require_POST
@permission_required(REFETCH, raise_exception=True)
def refetch(request: HttpRequest, domain: str) -> HttpResponse:
    """Have a worker fetch one policy now."""
    record = _find(domain)
    fetch, created = tasks.request_refetch(record.name, _user(request))
    if created:
        audit.log(_user(request), [record], CHANGE, audit.ASKED)
    if _is_htmx(request):
        return render(
            request,
            "policies/row.html",
            {"row": _rows([record])[0], "says": _says(record.name, fetch, created=created)},
        )
    messages.success(request, _says(record.name, fetch, created=created))
    return _back(request, _address(record.name))


@require_POST
@permission_required(REFETCH, raise_exception=True)
def refetch_selected(request: HttpRequest) -> HttpResponse:
    """Have workers fetch the policies that are ticked in the list."""
    # PostgreSQL refuses to compare with a NUL.
    chosen = {text.replace("\0", "") for text in request.POST.getlist("domain")[:SELECTED_LIMIT]}
    records = list(PolicyRecord.objects.defer("policy_text").filter(domain__in=chosen))
    asked = [record for record in records if tasks.request_refetch(record.name, _user(request))[1]]
    audit.log_each(_user(request), [(record, audit.ASKED) for record in asked], CHANGE)
    queued = len(asked)
    says = _counts(queued, len(records) - queued, len(chosen) - len(records))
    if _is_htmx(request):
        return render(request, "policies/rows.html", {"rows": _rows(records), "says": says})
    (messages.success if queued else messages.warning)(request, says)
    return _back(request, reverse("policies:list"))


@require_POST
@permission_required(REFETCH, raise_exception=True)
def probe(request: HttpRequest, domain: str) -> HttpResponse:
    """Have the mail hosts of a domain probed daily, or no more (`on`: 1 or 0)."""
    record, user = _find(domain), _user(request)
    is_on = request.POST.get("on") == "1"
    if is_on:
        changed = probing.switch_on(record.domain, user, timezone.now())
    else:
        changed = probing.switch_off(record.domain)
    if changed:
        says = f"Probe of its mail hosts switched {'on' if is_on else 'off'}."
        audit.log(user, [record], CHANGE, says)
    messages.success(
        request,
        f"The mail hosts of {record.name.both} are probed within a few minutes, and then daily."
        if is_on
        else f"The mail hosts of {record.name.both} are not probed any more.",
    )
    return HttpResponseRedirect(f"{_address(record.name)}#mail-hosts", status=303)


@permission_required(DELETE, raise_exception=True)
def delete(request: HttpRequest, domain: str) -> HttpResponse:
    """Forget a policy, after asking."""
    record = _find(domain)
    if request.method != "POST":
        return render(request, "policies/delete.html", {"record": record, "name": record.name})
    audit.log(_user(request), [record], DELETION, "Deleted from its page.")
    cache.delete([record.domain])
    messages.success(
        request, f"{record.name.both} is forgotten. The next lookup fetches its policy anew."
    )
    return HttpResponseRedirect(reverse("policies:list"), status=303)


def _find(domain: str) -> PolicyRecord:
    """The row of a domain in any form. Raises Http404."""
    try:
        name = parse_domain(domain)
        return PolicyRecord.objects.get(domain=name.unicode)
    except DomainNameError as error:
        raise Http404(f"This is no domain name: {error}") from error
    except PolicyRecord.DoesNotExist as error:
        raise Http404(f"No policy of {domain} is cached.") from error


def _matching(
    page: listing.Page[PolicyRecord], filters: listing.Filters, counts: dict[str, int]
) -> str:
    """How many policies match, as far as that is known without counting them all; else empty."""
    if not (page.before or page.after):
        return f"{len(page.rows):,}"
    if page.total is not None:
        return f"{page.total:,}"
    number = tiles.number(counts, filters)
    return "" if number is None else f"≈ {number:,}"


def _columns(page: listing.Page[PolicyRecord], filters: listing.Filters) -> dict[str, Column]:
    """By the name of the order."""
    found = {}
    for name in listing.COLUMNS:
        order, query, direction = listing.SORTS[name], filters.query(sort=name), ""
        if page.order and page.order.field == order.field:
            direction = "descending" if page.order.descends else "ascending"
            if page.order == order:
                query = filters.query(sort=f"-{name}")
        found[name] = Column(query, direction)
    return found


def _instead(page: listing.Page[PolicyRecord], filters: listing.Filters) -> str:
    """The name of the order in which rows come instead of the one that is asked for, if so."""
    if page.order is None or page.order.field == filters.order.field:
        return ""
    return next(name for name in listing.COLUMNS if listing.SORTS[name] == page.order)


def _rows(records: list[PolicyRecord]) -> list[Row]:
    """With each one's open fetch, or the last one that an operator asked for: two queries."""
    # By the index of sources, SQLite would read all that operators ever asked for.
    asked = Fetch.objects.alias(bare_source=Coalesce("source", "source")).filter(
        domain__in=[record.domain for record in records], bare_source=Fetch.Source.OPERATOR
    )
    last = asked.order_by().values("domain").annotate(last=Max("pk")).values("last")
    latest = {fetch.domain: fetch for fetch in Fetch.objects.filter(pk__in=last)}
    now = timezone.now()
    excepted = excepting.of_rows(records, now)
    return [
        Row(
            record,
            latest.get(record.domain),
            _outcome(record),
            not record.is_valid(now),
            _doing(record, latest.get(record.domain), now),
            excepted.get(record.domain),
        )
        for record in records
    ]


def _doing(record: PolicyRecord, fetch: Fetch | None, now: datetime) -> str:
    """What a fetch that an operator asked for, by itself or with a job, is doing; else empty."""
    if fetch is not None and fetch.is_open:
        return fetch.state
    if record.job is None:
        return ""
    is_claimed = record.claimed_until is not None and record.claimed_until > now
    return Fetch.State.RUNNING if is_claimed else Fetch.State.QUEUED


def _outcome(record: PolicyRecord) -> words.Outcome | None:
    return words.outcome(record.outcome_type, record.outcome_failure, record.outcome_reason)


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


def _says(name: Domain, fetch: Fetch, *, created: bool) -> str:
    if created:
        return f"The refetch of {name.both} is queued."
    return f"A fetch of {name.both} is {fetch.state} already; nothing was added."


def _counts(queued: int, already: int, gone: int) -> str:
    if not queued + already + gone:
        return "Nothing was selected. Tick the rows to refetch."
    parts = [f"{queued} queued"]
    if already:
        parts.append(f"{already} queued or running already")
    if gone:
        parts.append(f"{gone} not cached any more")
    return f"Refetch: {', '.join(parts)}."


def _user(request: HttpRequest) -> Any:
    return request.user if request.user.is_authenticated else None


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _address(name: Domain) -> str:
    return reverse("policies:detail", args=[name.ascii])


def _back(request: HttpRequest, default: str) -> HttpResponseRedirect:
    """To the page that the form was on: `next`, if it is one of ours."""
    address = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        address = default
    return HttpResponseRedirect(address, status=303)
