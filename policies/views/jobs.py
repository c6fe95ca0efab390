"""Jobs: many fetches as one piece of work, with progress and a stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from policies import audit, jobs, leases
from policies.models import Job
from policies.views.common import REFETCH, VIEW

SHOWN = 5
"""Jobs of the past beside those that run."""

RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Row:
    """A job and how it goes. `rate`: fetches a second; `left`: seconds, None where unknown."""

    job: Job
    rate: float
    left: float | None


def overview(now: datetime) -> dict[str, Any]:
    """What the panel shows: two queries."""
    recent = Job.objects.select_related("requested_by").filter(started_at__gte=now - RECENT)
    running = Job.objects.select_related("requested_by").filter(state=Job.State.RUNNING)
    chosen = [*running, *recent.exclude(state=Job.State.RUNNING)[:SHOWN]]
    return {
        "jobs": [_row(job, now) for job in chosen],
        "is_running": any(job.state == Job.State.RUNNING for job in chosen),
        "paused_until": leases.paused_until(jobs.LEASE, now),
    }


def _row(job: Job, now: datetime) -> Row:
    left = job.time_left(now)
    return Row(job, job.rate(now), left.total_seconds() if left is not None else None)


@require_safe
@permission_required(VIEW, raise_exception=True)
def panel(request: HttpRequest) -> HttpResponse:
    """`/jobs/`: a page, or for a page that has it already the panel alone, which asks for itself
    again while something runs."""
    is_piece = request.headers.get("HX-Request") == "true"
    template = "jobs/panel.html" if is_piece else "jobs/page.html"
    return render(request, template, overview(timezone.now()))


@require_POST
@permission_required(REFETCH, raise_exception=True)
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a job; what is under way ends by itself."""
    job = Job.objects.filter(pk=pk).first()
    if job is None or not jobs.stop(job):
        messages.warning(request, "This job has ended already; nothing was stopped.")
    else:
        is_refresh = job.kind == Job.Kind.REFRESH
        _log(request, job, "Stopped; the refresh pauses for an hour." if is_refresh else "Stopped.")
        pause = " The periodic refresh pauses for an hour." if is_refresh else ""
        messages.success(request, f"Job {pk} is stopped; what is under way ends by itself.{pause}")
    return HttpResponseRedirect(reverse("policies:fetches"), status=303)


@require_POST
@permission_required(REFETCH, raise_exception=True)
def resume(request: HttpRequest) -> HttpResponse:
    """End the pause of the periodic refresh."""
    if leases.resume(jobs.LEASE):
        # What is paused is the refresh, of which the latest round stands for it.
        latest = Job.objects.filter(kind=Job.Kind.REFRESH).first() or Job(kind=Job.Kind.REFRESH)
        _log(request, latest, "Ended the pause of the periodic refresh.")
        messages.success(request, "The periodic refresh goes on within a minute.")
    else:
        messages.warning(request, "The periodic refresh was not paused.")
    return HttpResponseRedirect(reverse("policies:fetches"), status=303)


def _log(request: HttpRequest, job: Job, says: str) -> None:
    audit.log(request.user, [job], CHANGE, says)
