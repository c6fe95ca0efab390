"""Alerts: the list, the page of one with its evidence, and what an operator says of it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from policies import alert_listing, audit
from policies.alerts import outbox
from policies.models import Alert, PolicyRecord
from policies.views.common import VIEW

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
    return _page(request, _find(pk))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(ACKNOWLEDGE, raise_exception=True)
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """An operator has seen it, and says what is to be known about it.

    What was refused is shown at this address; whoever comes back to it is led to the alert.
    """
    alert, user = _find(pk), request.user
    if request.method != "POST":
        return HttpResponseRedirect(reverse("policies:alert", args=[alert.pk]))
    # Browsers count a line's end as one character, and send two.
    note = request.POST.get("note", "").replace("\0", "").replace("\r\n", "\n").strip()
    if len(note) > NOTE_LIMIT:
        messages.error(
            request,
            f"The note has {len(note)} characters, and {NOTE_LIMIT} fit. Nothing was saved:"
            " shorten it, or name the place where the rest is.",
        )
        return _page(request, alert, typed=note)
    back = HttpResponseRedirect(reverse("policies:alert", args=[alert.pk]), status=303)
    if alert.acknowledged_at and alert.acknowledged_by == user and alert.note == note:
        messages.success(request, "You have acknowledged it so already; nothing was changed.")
        return back
    if request.POST.get("shown", _shown(alert)) != _shown(alert):
        messages.error(
            request,
            "Somebody else acknowledged it while you wrote. Nothing was saved: see what they say,"
            " and save your note again if it still has to be said.",
        )
        return _page(request, alert, typed=note)
    was_new = alert.acknowledged_at is None
    stored = Alert.objects.filter(pk=alert.pk).update(
        note=note, acknowledged_at=timezone.now(), acknowledged_by=user
    )
    if not stored:
        raise Http404("There is no such alert any more.")
    says = "Acknowledged" if was_new else "Acknowledged anew"
    audit.log(user, [alert], CHANGE, f"{says}: {note}" if note else f"{says}.")
    messages.success(
        request, "Acknowledged. The alert stays open until all is well again, and counts no more."
    )
    return back


def _find(pk: int) -> Alert:
    return get_object_or_404(Alert.objects.select_related("acknowledged_by"), pk=pk)


def _page(request: HttpRequest, alert: Alert, typed: str | None = None) -> HttpResponse:
    """The page of an alert. `typed`: a note that could not be saved, to be typed no second time."""
    record = PolicyRecord.objects.filter(domain=alert.domain).first()
    now = timezone.now()
    context = {
        "row": alert_listing.shown(alert, is_cached=record is not None),
        "alert": alert,
        "in_force": record is not None and not record.backoff and record.is_valid(now),
        "record": record,
        "limit": NOTE_LIMIT,
        "note": alert.note if typed is None else typed,
        "shown_as": _shown(alert),
    }
    return render(request, "alerts/detail.html", context)


def _shown(alert: Alert) -> str:
    """Of the acknowledgement that the form shows, so that nobody overwrites an unseen one."""
    return alert.acknowledged_at.isoformat() if alert.acknowledged_at else "none"
