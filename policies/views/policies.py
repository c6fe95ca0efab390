"""The list of policies."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from policies import changes, listing, summary, tiles
from policies.models import PolicyRecord
from policies.narrowing import FEW
from policies.views.common import VIEW, find
from policies.views.rows import rows


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list that sorts it. `query`: so, or the other way around where it does
    already; `direction`: how it does, as `aria-sort` says it; empty where it does not."""

    query: str
    direction: str


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
    shown = rows(page.rows)
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
            "rows": shown,
            "matching": _matching(page, filters, counts.counts),
            "open": any(row.state for row in shown),
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
        record = find(domain)
    except Http404:
        return HttpResponse()  # deleted meanwhile: the row goes
    return render(request, "policies/row.html", {"row": rows([record])[0]})


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
