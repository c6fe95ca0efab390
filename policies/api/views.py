"""The resources of the feed. Lists have the filters, the order and the paging of their pages."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone

from policies import (
    alert_listing,
    fetch_listing,
    history,
    listing,
    mxcheck,
    outcome_listing,
    outcomes,
    paging,
    probing,
    status,
    summary,
)
from policies import trouble as troubles
from policies.alerts.kinds import Kind as AlertKind
from policies.alerts.kinds import Severity
from policies.api import shapes
from policies.api.access import feed, resource
from policies.api.parameters import Parameters
from policies.api.problems import Problem
from policies.models import Alert, PolicyException, PolicyRecord, PolicyVersion
from policies.mtasts import Domain, DomainNameError, parse_domain
from policies.trouble import Kind, Trouble
from policies.views import excepting

VERSIONS = 50

Object = dict[str, Any]


@resource
def index(request: HttpRequest) -> Object:
    """`/api/v1/`: what there is to read."""
    Parameters(request, is_paged=False)
    names = ("policies", "fetches", "outcomes", "alerts", "exceptions", "trouble", "status")
    return {"version": 1, "resources": {name: reverse(f"policies:api-{name}") for name in names}}


@resource
def policies(request: HttpRequest) -> Object:
    """`/api/v1/policies/`: as the list, without texts."""
    asked = Parameters(request, ("q", "mode", "state", "outcome", "used", "sort"))
    for name, choices in (
        ("mode", listing.MODES),
        ("state", listing.STATES),
        ("outcome", listing.OUTCOMES),
        ("used", listing.USED),
    ):
        asked.choice(name, choices)
    asked.choice("sort", listing.SORTS)
    filters, now = listing.Filters.read(asked.query), timezone.now()
    sort = filters.order
    places = {name: _place(asked, name, listing.Cursor.read, sort) for name in ("after", "before")}
    page = listing.page(
        PolicyRecord.objects.defer("policy_text"),
        sort,
        filters.conditions(now),
        size=asked.limit,
        after=places["after"],
        before=places["before"],
    )
    items = [shapes.policy(record, now) for record in page.rows]
    return _page(asked, items, page)


@resource
def policy(request: HttpRequest, domain: str) -> Object:
    """`/api/v1/policies/<domain>/`: all that is known of one."""
    Parameters(request, is_paged=False)
    name = _name(domain)
    record = PolicyRecord.objects.filter(domain=name.unicode).first()
    if record is None:
        raise Http404(f"No policy of {name.ascii} is cached.")
    now = timezone.now()
    return shapes.whole_policy(
        record,
        mxcheck.of(record.domain),
        probing.of(record.domain),
        history.of(record.domain, VERSIONS, now=now, row=record),
        outcomes.history(record.domain, now),
        now,
    ) | {
        "alerts": [shapes.alert_in_short(each.alert) for each in alert_listing.of_policy(record)],
        "exception": shapes.excepting(excepting.of_row(record, now)),
    }


@resource
def versions(request: HttpRequest, domain: str) -> Object:
    """`/api/v1/policies/<domain>/versions/`: all that are kept, whether or not it is cached."""
    asked = Parameters(request)
    name = _name(domain)
    row = PolicyRecord.objects.filter(domain=name.unicode).first()
    rows = PolicyVersion.objects.filter(domain=name.unicode)
    if row is None and not rows.exists():
        raise Http404(f"No policy of {name.ascii} is cached, and no version of one is kept.")
    places = {name: _place(asked, name, paging.Place.read) for name in ("after", "before")}
    page = paging.page([rows], moment="first_seen", size=asked.limit, **places)
    last = history.before(page.rows[-1]) if page.after else None
    beside = [*page.rows, last] if last else page.rows
    changes = history.changes(beside, row, timezone.now())[: len(page.rows)]
    return _page(asked, [shapes.version(each) for each in changes], page)


@resource
def fetches(request: HttpRequest) -> Object:
    """`/api/v1/fetches/`: as the log."""
    asked = Parameters(request, ("domain", "source", "state", "outcome", "since", "sort"))
    for name, choices in (
        ("source", fetch_listing.SOURCES),
        ("state", fetch_listing.STATES),
        ("outcome", fetch_listing.OUTCOMES),
        ("since", fetch_listing.SINCE),
        ("sort", fetch_listing.SORTS),
    ):
        asked.choice(name, choices)
    # Scripts read on from where they were: by time, unless they ask for failures first.
    given = {name: str(asked.query[name]) for name in asked.query}
    filters = fetch_listing.Filters.read({"sort": "newest"} | given)
    places = {name: _place(asked, name, paging.Place.read) for name in ("after", "before")}
    page = paging.page(
        filters.lists(timezone.now()), moment="queued_at", size=asked.limit, **places
    )
    return _page(asked, [shapes.fetch(row) for row in page.rows], page)


@resource
def outcome_list(request: HttpRequest) -> Object:
    """`/api/v1/outcomes/`: as the page, with the sums of the days."""
    asked = Parameters(request, ("q", "type", "source", "failures", "days"))
    asked.choice("source", outcome_listing.SOURCES)
    asked.choice("failures", ("0", "1"))
    asked.choice("days", outcome_listing.SPANS)
    filters, today = outcome_listing.Filters.read(asked.query), timezone.now().date()
    places = {
        name: _place(asked, name, outcome_listing.read_cursor) for name in ("after", "before")
    }
    page = outcome_listing.page(filters, today, size=asked.limit, **places)
    days = outcome_listing.by_day(filters, today)
    return {
        "days": [
            {"day": str(day.day), **shapes.numbers(day.numbers)}
            for day in reversed(days)
            if day.numbers.count
        ],
        "resolver_failures": outcome_listing.resolver_failures(filters, today),
    } | _page(asked, [shapes.outcome(line) for line in page.rows], page)


@resource
def alerts(request: HttpRequest) -> Object:
    """`/api/v1/alerts/`: the newest first; open ones unless asked otherwise."""
    asked = Parameters(request, ("state", "severity", "kind", "domain"))
    rows = Alert.objects.select_related("acknowledged_by")
    if (asked.choice("state", ("open", "all")) or "open") == "open":
        rows = rows.filter(closed_at=None)
    if severity := asked.choice("severity", list(Severity)):
        rows = rows.filter(severity=severity)
    if kind := asked.choice("kind", list(AlertKind)):
        rows = rows.filter(kind=kind)
    if domain := listing.typed(asked.query.get("domain", "")):
        rows = rows.filter(domain=listing.as_stored(domain))
    page = _by_number(asked, rows)
    return _page(asked, [shapes.alert(row) for row in page.rows], page)


@feed("policies.view_policyexception")
def exceptions(request: HttpRequest) -> Object:
    """`/api/v1/exceptions/`: the newest first; those that have not ended unless asked otherwise.

    `domain`: those whose target is that domain itself; what counts for it is told by its policy.
    """
    asked = Parameters(request, ("state", "domain"))
    state = asked.choice("state", ("open", "all")) or "open"
    now = timezone.now()
    rows = PolicyException.objects.all()
    if state == "open":
        rows = rows.filter(ended=None).exclude(until__lte=now)
    if domain := listing.typed(asked.query.get("domain", "")):
        scope = PolicyException.Scope.DOMAIN
        rows = rows.filter(scope=scope, target=listing.as_stored(domain))
    page = _by_number(asked, rows)
    return _page(asked, [shapes.exception(row, now) for row in page.rows], page)


@resource
def trouble(request: HttpRequest) -> Object:
    """`/api/v1/trouble/`: what hits most mail first."""
    asked = Parameters(request, ("kind",))
    kind = asked.choice("kind", list(Kind))
    places = {name: _rank(asked, name) for name in ("after", "before")}
    found = troubles.found(timezone.now())
    page = _of_entries(found.of(kind), asked.limit, **places)
    return {
        "counts": {str(each): found.count(each) for each in Kind},
        "capped": sorted(map(str, found.capped)),
    } | _page(asked, [shapes.trouble(each) for each in page.rows], page)


def _rank(asked: Parameters, name: str) -> troubles.Rank | None:
    rank = troubles.read_cursor(asked.query.get(name, ""))
    asked.place(name, is_ours=rank is not None)
    return rank


def _of_entries(
    entries: Sequence[Trouble],
    limit: int,
    after: troubles.Rank | None,
    before: troubles.Rank | None,
) -> listing.Page[Trouble]:
    if before is not None:
        end = len(troubles.before(entries, before))
        start = max(0, end - limit)
    else:
        start = len(entries) - len(troubles.after(entries, after))
        end = min(start + limit, len(entries))
    rows = list(entries[start:end])
    if not rows:
        return listing.Page([])
    return listing.Page(
        rows,
        before=troubles.cursor(rows[0]) if start else "",
        after=troubles.cursor(rows[-1]) if end < len(entries) else "",
    )


@resource
def state(request: HttpRequest) -> Object:
    """`/api/v1/status/`: as the page, and the counts of the list's tiles."""
    Parameters(request, is_paged=False)
    now = timezone.now()
    items, checked, counts = status.items(now), status.checked(), summary.latest(now)
    levels = [each.state for each in items] + [each.state for each in checked]
    worst = next((level for level in ("bad", "warn") if level in levels), "ok")
    return {
        "level": worst,
        "at": shapes.moment(now),
        "counts": counts.counts,
        "counted_at": shapes.moment(counts.at),
        "items": [shapes.status_item(item) for item in items],
        "checks": [shapes.status_check(found) for found in checked],
    }


@resource
def nowhere(request: HttpRequest, path: str) -> Object:
    """Any other address below `/api/`."""
    raise Problem(
        HTTPStatus.NOT_FOUND,
        f"There is nothing at {request.path[:200]}. {reverse('policies:api')} says what there is.",
    )


def _name(domain: str) -> Domain:
    try:
        return parse_domain(domain)
    except DomainNameError as error:
        raise Http404(f"This is no domain name: {error}") from error


def _by_number(asked: Parameters, rows: QuerySet[Any]) -> listing.Page[Any]:
    """A page of rows in the order of their numbers, newest first."""
    after, before = (_number(asked, name) for name in ("after", "before"))
    if before is not None:
        found = list(rows.filter(pk__gt=before).order_by("pk")[: asked.limit + 1])
    elif after is not None:
        found = list(rows.filter(pk__lt=after).order_by("-pk")[: asked.limit + 1])
    else:
        found = list(rows.order_by("-pk")[: asked.limit + 1])
    more = len(found) > asked.limit
    shown = found[: asked.limit][:: 1 if before is None else -1]
    if not shown:
        return listing.Page([])
    is_first = not more if before is not None else after is None
    is_last = not more and before is None
    return listing.Page(
        shown,
        before="" if is_first else str(shown[0].pk),
        after="" if is_last else str(shown[-1].pk),
    )


def _number(asked: Parameters, name: str) -> int | None:
    text = str(asked.query.get(name, ""))
    number = listing.row_number(text)
    asked.place(name, is_ours=number is not None)
    return number


def _place(asked: Parameters, name: str, read: Any, *more: Any) -> str:
    given = asked.query.get(name, "")
    return asked.place(name, is_ours=bool(given) and read(given, *more) is not None)


def _page(asked: Parameters, items: list[Object], page: listing.Page[Any]) -> Object:
    return {
        "items": items,
        "next": asked.link(after=page.after),
        "previous": asked.link(before=page.before),
    }
