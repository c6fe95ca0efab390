"""`/outcomes/`: what lookups came to, as a page, as CSV, and as TLS reports."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from policies import outcome_listing, outcomes
from policies.mtasts import DomainNameError, parse_domain
from policies.outcomes.days import total

VIEW = "policies.view_policyrecord"


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/outcomes/`: all domains; today unless more days are asked for."""
    filters, today = outcome_listing.Filters.read(request.GET), timezone.now().date()
    days = outcome_listing.by_day(filters, today)
    page = outcome_listing.page(
        filters,
        today,
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    return render(
        request,
        "outcomes/index.html",
        {
            "filters": filters,
            "spans": outcome_listing.SPANS,
            "sources": outcome_listing.SOURCES,
            "types": outcome_listing.result_types(today),
            "days": days,
            "counted": [day for day in reversed(days) if day.numbers.count],
            "total": total(days),
            "resolver": outcome_listing.resolver_failures(filters, today),
            "lines": page.rows,
            "first": filters.query() or "?" if page.before else "",
            "previous": page.before and filters.query(before=page.before),
            "next": page.after and filters.query(after=page.after),
            "query": filters.query(),
            "recorded": settings.MTASTS.outcome_days,
        },
    )


@require_safe
@permission_required(VIEW, raise_exception=True)
def as_csv(request: HttpRequest) -> StreamingHttpResponse:
    """All rows that fit the filters of the page."""
    filters, today = outcome_listing.Filters.read(request.GET), timezone.now().date()
    return _download(
        outcome_listing.csv_rows(filters, today),
        "text/csv; charset=utf-8",
        f"outcomes-{filters.since(today)}-{today}.csv",
    )


@require_safe
@permission_required(VIEW, raise_exception=True)
def report(request: HttpRequest) -> StreamingHttpResponse | HttpResponse:
    """The TLS report of a day (`day`, else today), of all domains or of one (`domain`)."""
    try:
        day = _day(request.GET.get("day", ""))
        name = parse_domain(request.GET["domain"]) if request.GET.get("domain") else None
    except DomainNameError as error:
        return HttpResponseBadRequest(f"This is no domain name: {error}", "text/plain")
    except ValueError:
        return HttpResponseBadRequest("A day is written as 2026-03-01.", "text/plain")
    # RFC 8460 section 6 registers this media type.
    return _download(
        outcomes.report(day, name), "application/tlsrpt+json", outcomes.file_name(day, name)
    )


def _day(text: str) -> date:
    return date.fromisoformat(text) if text else timezone.now().date()


def _download(chunks: Iterable[str], content_type: str, name: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        chunks,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
