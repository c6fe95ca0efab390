"""Alerts: the list, the page of one with its evidence, and what an operator says of it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from policies import alert_listing, audit
from policies.alerts import outbox
from policies.models import Alert, PolicyRecord
from policies.views.policies import VIEW

ACKNOWLEDGE = "policies.acknowledge_alert"

NOTE_LIMIT = 2000


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/alerts/`: open ones first."""
    filters = alert_listing.Filters.read(request.GET)
    page = alert_listing.page(
        filters, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    names = {alert.domain for alert in page.rows}
    cached = set(PolicyRecord.objects.filter(domain__in=names).values_list("domain", flat=True))
    return render(
        request,
        "alerts/list.html",
        {
            "filters": filters,
            "stuck": outbox.stuck(timezone.now()),
            "severities": alert_listing.SEVERITIES,
            "kinds": alert_listing.KINDS,
            "states": alert_listing.STATES,
            "shown": alert_listing.SHOWN,
            "rows": [
                alert_listing.shown(alert, is_cached=alert.domain in cached) for alert in page.rows
            ],
            "is_paged": any(name in request.GET for name in ("after", "before")),
            "first": filters.query() if page.before else "",
            "previous": page.before and filters.query(before=page.before),
            "next": page.after and filters.query(after=page.after),
        },
    )


@require_safe
@permission_required(VIEW, raise_exception=True)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """`/alerts/<id>/`: what was seen, and what to do."""
    alert = get_object_or_404(Alert.objects.select_related("acknowledged_by"), pk=pk)
    record = PolicyRecord.objects.filter(domain=alert.domain).first()
    now = timezone.now()
    context = {
        "row": alert_listing.shown(alert, is_cached=record is not None),
        "alert": alert,
        "in_force": record is not None and not record.backoff and record.is_valid(now),
        "record": record,
        "limit": NOTE_LIMIT,
    }
    return render(request, "alerts/detail.html", context)


@require_POST
@permission_required(ACKNOWLEDGE, raise_exception=True)
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """An operator has seen it, and says what is to be known about it."""
    alert = get_object_or_404(Alert, pk=pk)
    note = request.POST.get("note", "").replace("\0", "").strip()
    back = HttpResponseRedirect(reverse("policies:alert", args=[alert.pk]), status=303)
    if len(note) > NOTE_LIMIT:
        messages.error(
            request,
            f"The note has {len(note)} characters, and {NOTE_LIMIT} fit. Nothing was saved:"
            " shorten it, or name the place where the rest is.",
        )
        return back
    was_new = alert.acknowledged_at is None
    alert.note, alert.acknowledged_at = note, timezone.now()
    alert.acknowledged_by = request.user if request.user.is_authenticated else None
    alert.save(update_fields=["note", "acknowledged_at", "acknowledged_by"])
    says = "Acknowledged" if was_new else "Acknowledged anew"
    audit.log(request.user, [alert], CHANGE, f"{says}: {note}" if note else f"{says}.")
    messages.success(
        request, "Acknowledged. The alert stays open until all is well again, and counts no more."
    )
    return back
