"""What is done with many policies at once: those that are ticked, or all that match the filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from policies import cache, exports, listing, tasks
from policies.models import PolicyRecord
from policies.querysets import PolicyRecordQuerySet
from policies.views.policies import DELETE, REFETCH, SELECTED_LIMIT, VIEW

DELETED_AT_ONCE = 10_000
"""More are not deleted by one click: who means them narrows the filters."""

PERMISSIONS = {"refetch": REFETCH, "delete": DELETE}


@dataclass(frozen=True, slots=True)
class Choice:
    """The policies that an action is about. `query`: the filters, where it is all that match."""

    records: PolicyRecordQuerySet
    domains: tuple[str, ...]
    query: str
    words: str


@require_POST
def act(request: HttpRequest, action: str) -> HttpResponse:
    """`/policies/bulk/<action>/`: ask first, saying what will happen; then do it."""
    if not request.user.has_perm(PERMISSIONS[action]):
        raise PermissionDenied
    choice = _choice(request)
    back = reverse("policies:list") + choice.query
    count = choice.records.count()
    if not count:
        messages.warning(request, "Nothing is selected. Tick rows, or choose all that match.")
        return HttpResponseRedirect(back, status=303)
    if action == "delete" and count > DELETED_AT_ONCE:
        messages.error(
            request,
            f"{count:,} policies match, and at most {DELETED_AT_ONCE:,} are deleted at once."
            " Nothing was deleted: narrow the filters.",
        )
        return HttpResponseRedirect(back, status=303)
    confirmed = _confirmed(request)
    # What is deleted is what the question named: more may match by now.
    has_grown = action == "delete" and 0 < confirmed < count
    if not confirmed or has_grown:
        context = {
            "choice": choice, "count": count, "action": action, "back": back,
            "grown_from": confirmed,
        }  # fmt: skip
        return render(request, "policies/bulk.html", context | _open(choice))
    says = _refetch(request, choice, count) if action == "refetch" else _delete(request, choice)
    messages.success(request, says)
    return HttpResponseRedirect(back, status=303)


@require_safe
@permission_required(VIEW, raise_exception=True)
def export(request: HttpRequest, kind: str) -> StreamingHttpResponse:
    """`/policies/export.csv` and `.json`: what is filtered."""
    filters = listing.Filters.read(request.GET)
    records = filters.apply(PolicyRecord.objects.all(), timezone.now()).by_use()
    lines = exports.csv_lines(records) if kind == "csv" else exports.json_lines(records)
    media_type = "text/csv; charset=utf-8" if kind == "csv" else "application/jsonl"
    response = StreamingHttpResponse(lines, content_type=media_type)
    name = f"policies-{timezone.now():%Y-%m-%d}.{'csv' if kind == 'csv' else 'jsonl'}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _confirmed(request: HttpRequest) -> int:
    """How many policies the question named that was answered; 0 where none was asked yet."""
    text = request.POST.get("confirmed", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _choice(request: HttpRequest) -> Choice:
    filters = listing.Filters.read(request.GET)
    if "all" in request.POST:
        records = filters.apply(PolicyRecord.objects.all(), timezone.now())
        words = "all that match" if filters.any else "all of them"
        return Choice(records, (), filters.query(), words)
    ticked = {text.replace("\0", "") for text in request.POST.getlist("domain")[:SELECTED_LIMIT]}
    chosen = PolicyRecord.objects.filter(domain__in=ticked)
    return Choice(chosen, tuple(sorted(ticked)), filters.query(), "selected")


def _open(choice: Choice) -> dict[str, Any]:
    """How many have a refetch coming already."""
    return {"already": choice.records.filter(job__isnull=False).count()}


def _refetch(request: HttpRequest, choice: Choice, count: int) -> str:
    user: Any = request.user
    job = tasks.request_refetch_of_many(choice.records, _description(choice), user)
    LogEntry.objects.log_actions(
        user.pk, [job], ADDITION, change_message=f"Refetch of {job.total} policies."
    )
    says = f"Refetch: {job.total:,} queued as job {job.pk}"
    already = count - job.total
    return f"{says}, {already:,} queued already." if already else f"{says}."


def _delete(request: HttpRequest, choice: Choice) -> str:
    user: Any = request.user
    records = list(choice.records.only("pk", "domain")[:DELETED_AT_ONCE])
    LogEntry.objects.log_actions(
        user.pk, records, DELETION, change_message="Deleted with others from the list."
    )
    deleted = cache.delete([record.domain for record in records])
    skipped = len(records) - deleted
    says = f"Forgotten: {deleted:,} policies. The next lookup of each fetches it anew."
    return f"{says} {skipped:,} were gone already." if skipped else says


def _description(choice: Choice) -> str:
    if choice.domains:
        return ", ".join(choice.domains)
    return f"all policies{choice.query and ' that match ' + choice.query}"
