"""Check a domain: each step as it happens, what it means, and what Postfix would get."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from policies import audit, exceptions, tasks
from policies.check import kept, runs
from policies.check.findings import Finding, Stage
from policies.models import PolicyRecord
from policies.mtasts import Domain, DomainNameError, parse_domain
from policies.views.common import REFETCH, user_of

TYPED_LIMIT = 300
"""Characters of what was typed that are given back; a domain name has fewer."""


@dataclass(frozen=True, slots=True)
class Line:
    """A stage as the page shows it: what was found, or that it runs, waits or was not reached."""

    stage: Stage
    finding: Finding | None
    is_running: bool


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(REFETCH, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/check/`: asks for a domain. Only a POST checks it, so that a link cannot."""
    if request.method != "POST":
        return _page(request, typed=request.GET.get("domain", ""))
    typed = request.POST.get("domain", "").strip()
    try:
        name, now = parse_domain(typed), timezone.now()
        row = PolicyRecord.objects.filter(domain=name.unicode).first()
        run = runs.start(name, kept(row, now, exceptions.current(now)), user_of(request).pk)
    except DomainNameError as error:
        return _page(request, typed=typed, error=f"This is no domain name: {error}.")
    except ValueError as error:  # of the trusted roots, which may have gone since the start
        return _page(request, typed=typed, error=f"Nothing was asked: {error}. See Status.")
    except runs.TooManyChecks:
        return _page(
            request,
            typed=typed,
            error=f"{runs.AT_A_TIME} checks run already. Nothing was asked; try again in a minute.",
        )
    return HttpResponseRedirect(_address(run.id, name), status=303)


@require_safe
@never_cache
@permission_required(REFETCH, raise_exception=True)
def result(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """`/check/<id>/`: a check as far as it has come; asks for itself again until it has ended."""
    run = runs.find(str(run_id), user_of(request).pk)
    if run is None:
        return _page(
            request,
            typed=request.GET.get("domain", ""),
            error="This check is not kept any more: results stand for ten minutes, on the machine"
            " that found them, for the one who asked. Nothing was stored; check again.",
            status=200 if request.headers.get("HX-Request") == "true" else 404,
        )
    row = PolicyRecord.objects.filter(domain=run.name.unicode).only("domain").first()
    return render(
        request,
        "check/page.html",
        {
            "typed": run.name.unicode,
            "run": run,
            "name": run.name,
            "row": row,
            "lines": _lines(run),
            "policy_port": settings.MTASTS.policy_port,
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(REFETCH, raise_exception=True)
def store(request: HttpRequest) -> HttpResponse:
    """Have a worker fetch the policy of a domain that was checked, and store it.

    What was refused is shown at this address; whoever comes back to it is led to the form.
    """
    if request.method != "POST":
        return HttpResponseRedirect(reverse("policies:check"))
    try:
        name = parse_domain(request.POST.get("domain", ""))
    except DomainNameError as error:
        return _page(
            request,
            typed=request.POST.get("domain", ""),
            error=f"Nothing was stored. This is no domain name: {error}.",
        )
    fetch, created = tasks.request_refetch(name, user_of(request))
    if created:
        says = "Asked for a fetch, to store the policy."
        row = PolicyRecord.objects.filter(domain=name.unicode).only("domain").first()
        if row is not None:
            audit.log(user_of(request), [row], CHANGE, says)
        else:
            audit.log_about(user_of(request), PolicyRecord, name.unicode, ADDITION, says)
    said = "is queued" if created else f"is {fetch.state} already; nothing was added"
    messages.success(request, f"The fetch of {name.both} {said}.")
    return HttpResponseRedirect(f"{reverse('policies:fetches')}?domain={name.ascii}", status=303)


def _page(request: HttpRequest, *, typed: str, error: str = "", status: int = 200) -> HttpResponse:
    context = {"typed": typed[:TYPED_LIMIT], "error": error}
    return render(request, "check/page.html", context, status=status)


def _lines(run: runs.Run) -> list[Line]:
    """All stages, in their order; of an open check the first without a finding runs."""
    lines, is_running = [], run.is_open
    for stage in Stage:
        finding = run.found(stage)
        lines.append(Line(stage, finding, is_running and finding is None))
        is_running = is_running and finding is not None
    return lines


def _address(run_id: str, name: Domain) -> str:
    return f"{reverse('policies:check-result', args=[run_id])}?domain={name.ascii}"
