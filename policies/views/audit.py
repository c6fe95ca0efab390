"""The log of what people did."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from policies.listing import PAGE, row_number
from policies.views.common import VIEW


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/audit/`: who changed what, latest first."""
    entries = LogEntry.objects.select_related("user", "content_type").order_by("-pk")
    before = row_number(request.GET.get("before", ""))
    if before is not None:
        entries = entries.filter(pk__lt=before)
    shown = list(entries[: PAGE + 1])
    more, shown = len(shown) > PAGE, shown[:PAGE]
    context = {
        "entries": shown,
        "first": "" if before is None else "?",
        "next": f"?before={shown[-1].pk}" if more else "",
    }
    return render(request, "audit/list.html", context)
