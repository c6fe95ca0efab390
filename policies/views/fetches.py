"""The log of fetches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from policies import fetch_listing, paging
from policies.models import Fetch, PolicyRecord
from policies.mtasts import DomainNameError, parse_domain
from policies.tlsrpt import words
from policies.views import jobs
from policies.views.common import VIEW


@dataclass(frozen=True, slots=True)
class Row:
    """A fetch as the log shows it. `link`: the A-label name of its policy's page, if any."""

    fetch: Fetch
    failure: words.Outcome | None
    link: str


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/fetches/`: what ran, what runs, and how it ended."""
    filters = fetch_listing.Filters.read(request.GET)
    page = paging.page(
        filters.lists(timezone.now()),
        moment="queued_at",
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    return render(
        request,
        "fetches/list.html",
        {
            "filters": filters,
            "sources": fetch_listing.SOURCES,
            "states": fetch_listing.STATES,
            "outcomes": fetch_listing.OUTCOMES,
            "spans": fetch_listing.SINCE,
            "sorts": fetch_listing.SORTS,
            **jobs.overview(timezone.now()),
            "rows": _rows(page.rows),
            "open": any(fetch.is_open for fetch in page.rows),
            "is_paged": any(name in request.GET for name in ("after", "before")),
            "first": filters.query() if page.before else "",
            "previous": page.before and filters.query(before=page.before),
            "next": page.after and filters.query(after=page.after),
        },
    )


@require_safe
@permission_required(VIEW, raise_exception=True)
def row(request: HttpRequest, pk: int) -> HttpResponse:
    """One row of the log, which asks for itself again until it has ended."""
    fetch = Fetch.objects.select_related("requested_by").filter(pk=pk).first()
    if fetch is None:
        return HttpResponse()  # pruned meanwhile: the row goes
    return render(request, "fetches/row.html", {"row": _rows([fetch])[0]})


def _rows(fetches: Sequence[Fetch]) -> list[Row]:
    """With the failure in words, and whether there is a page to go to: one query."""
    names = {fetch.domain for fetch in fetches}
    cached = set(PolicyRecord.objects.filter(domain__in=names).values_list("domain", flat=True))
    return [
        Row(
            fetch,
            words.outcome("sts", fetch.failure_type, fetch.failure_reason)
            if fetch.failure_type
            else None,
            _a_label(fetch.domain) if fetch.domain in cached else "",
        )
        for fetch in fetches
    ]


def _a_label(domain: str) -> str:
    try:
        return parse_domain(domain).ascii
    except DomainNameError:  # a row that somebody else wrote
        return ""
