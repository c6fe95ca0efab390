"""The log of what people did."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from policies.listing import PAGE
from policies.views.policies import VIEW


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/audit/`: who changed what, latest first."""
    entries = LogEntry.objects.select_related("user", "content_type").order_by("-pk")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdecimal() and len(before) < 19:
        entries = entries.filter(pk__lt=int(before))
    shown = list(entries[: PAGE + 1])
    more, shown = len(shown) > PAGE, shown[:PAGE]
    context = {
        "entries": shown,
        "first": "?" if before else "",
        "next": f"?before={shown[-1].pk}" if more else "",
    }
    return render(request, "audit/list.html", context)
