"""How the product is."""

from __future__ import annotations

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from policies import status
from policies.status import State
from policies.views.common import VIEW


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/status/`: processes, queue, refresh, database, resolver, and what to do about them."""
    items, checked = status.items(timezone.now()), status.checked()
    states = [item.state for item in items] + [found.state for found in checked]
    context = {
        "items": items,
        "checked": checked,
        "bad": states.count(State.BAD),
        "warn": states.count(State.WARN),
        "now": timezone.now(),
    }
    return render(request, "status/page.html", context)
