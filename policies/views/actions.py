"""What can be done with a policy, and with those that are ticked in the list."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from policies import audit, cache, probing, tasks
from policies.models import Fetch, PolicyRecord
from policies.mtasts import Domain
from policies.views.common import DELETE, REFETCH, address, back, find, is_htmx, user_of
from policies.views.rows import rows

SELECTED_LIMIT = 500
"""Domains that one selection may hold; the list shows 50 a page."""


@require_POST
@permission_required(REFETCH, raise_exception=True)
def refetch(request: HttpRequest, domain: str) -> HttpResponse:
    """Have a worker fetch one policy now."""
    record = find(domain)
    fetch, created = tasks.request_refetch(record.name, user_of(request))
    if created:
        audit.log(user_of(request), [record], CHANGE, audit.ASKED)
    if is_htmx(request):
        return render(
            request,
            "policies/row.html",
            {"row": rows([record])[0], "says": _says(record.name, fetch, created=created)},
        )
    messages.success(request, _says(record.name, fetch, created=created))
    return back(request, address(record.name))


@require_POST
@permission_required(REFETCH, raise_exception=True)
def refetch_selected(request: HttpRequest) -> HttpResponse:
    """Have workers fetch the policies that are ticked in the list."""
    # PostgreSQL refuses to compare with a NUL.
    chosen = {text.replace("\0", "") for text in request.POST.getlist("domain")[:SELECTED_LIMIT]}
    records = list(PolicyRecord.objects.defer("policy_text").filter(domain__in=chosen))
    asked = [
        record for record in records if tasks.request_refetch(record.name, user_of(request))[1]
    ]
    audit.log_each(user_of(request), [(record, audit.ASKED) for record in asked], CHANGE)
    queued = len(asked)
    says = _counts(queued, len(records) - queued, len(chosen) - len(records))
    if is_htmx(request):
        return render(request, "policies/rows.html", {"rows": rows(records), "says": says})
    (messages.success if queued else messages.warning)(request, says)
    return back(request, reverse("policies:list"))


@require_POST
@permission_required(REFETCH, raise_exception=True)
def probe(request: HttpRequest, domain: str) -> HttpResponse:
    """Have the mail hosts of a domain probed daily, or no more (`on`: 1 or 0)."""
    record, user = find(domain), user_of(request)
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
    return HttpResponseRedirect(f"{address(record.name)}#mail-hosts", status=303)


@permission_required(DELETE, raise_exception=True)
def delete(request: HttpRequest, domain: str) -> HttpResponse:
    """Forget a policy, after asking."""
    record = find(domain)
    if request.method != "POST":
        return render(request, "policies/delete.html", {"record": record, "name": record.name})
    audit.log(user_of(request), [record], DELETION, "Deleted from its page.")
    cache.delete([record.domain])
    messages.success(
        request, f"{record.name.both} is forgotten. The next lookup fetches its policy anew."
    )
    return HttpResponseRedirect(reverse("policies:list"), status=303)


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
