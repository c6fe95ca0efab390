"""What is done with many policies at once: those that are ticked, or all that match the filters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.contrib import messages
from django.contrib.admin.models import ADDITION, DELETION
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from policies import audit, cache, exports, listing, questions, tasks
from policies.models import PolicyRecord
from policies.querysets import PolicyRecordQuerySet
from policies.questions import Question
from policies.views.actions import SELECTED_LIMIT, refetch_selected
from policies.views.common import DELETE, REFETCH, VIEW, user_of

DELETED_AT_ONCE = 10_000
"""More are not deleted by one click: who means them narrows the filters."""

NAMED = 20
"""Domains that a question names one by one."""

PERMISSIONS = {"refetch": REFETCH, "delete": DELETE}

ANSWERED = "You have answered this question already. Nothing was done a second time."


@dataclass(frozen=True, slots=True)
class Choice:
    """The policies that an action is about.

    `ticked`: their domains as the form names them; None where it is about all that match. `query`:
    the filters of the list; `is_narrowed`: whether there are any.
    """

    records: PolicyRecordQuerySet
    ticked: tuple[str, ...] | None
    query: str
    is_narrowed: bool

    def about(self, action: str) -> list[str]:
        """What tells a question about these policies from others."""
        if self.ticked is None:
            return [action, "all", self.query]
        return [action, "ticked", *self.ticked]


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, action: str) -> HttpResponse:
    """`/policies/bulk/<action>/`: ask first, saying what will happen; then do it, once.

    Whoever comes back to the address of a question, after a login, is led to the list it was about.
    """
    if not request.user.has_perm(PERMISSIONS[action]):
        raise PermissionDenied
    if request.method != "POST":
        query = listing.Filters.read(request.GET).query()
        return HttpResponseRedirect(reverse("policies:list") + query)
    choice = _choice(request)
    count = choice.records.count()
    if not count:
        messages.warning(
            request,
            "None of these policies is cached any more; nothing was done."
            if choice.ticked
            else "Nothing is selected. Tick rows, or choose all that match.",
        )
        return _back(choice)
    asked = request.POST.get("question", "")
    if action == "refetch" and choice.ticked and count == 1 and not asked:
        return refetch_selected(request)  # as its own button does, which does not ask either
    if action == "delete" and count > DELETED_AT_ONCE:
        messages.error(
            request,
            f"{count:,} policies match, and at most {DELETED_AT_ONCE:,} are deleted at once."
            " Nothing was deleted: narrow the filters.",
        )
        return _back(choice)
    question = questions.read(asked, user_of(request).pk, choice.about(action))
    if question is None:
        return _ask(request, action, choice)
    return _answered(request, action, choice, question)


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


def _choice(request: HttpRequest) -> Choice:
    filters = listing.Filters.read(request.GET)
    if "all" in request.POST:
        records = filters.apply(PolicyRecord.objects.all(), timezone.now())
        return Choice(records, None, filters.query(), filters.any)
    # PostgreSQL refuses to compare with a NUL.
    ticked = {text.replace("\0", "") for text in request.POST.getlist("domain")[:SELECTED_LIMIT]}
    chosen = PolicyRecord.objects.filter(domain__in=ticked)
    return Choice(chosen, tuple(sorted(ticked)), filters.query(), filters.any)


def _ask(request: HttpRequest, action: str, choice: Choice, *, grown_from: int = 0) -> HttpResponse:
    """The question. It names what there is: what was ticked may have gone."""
    domains: tuple[str, ...] | None = None
    gone = 0
    if choice.ticked is None:
        count = choice.records.count()
    else:
        domains = tuple(choice.records.order_by("domain").values_list("domain", flat=True))
        count, gone = len(domains), len(choice.ticked) - len(domains)
    about = replace(choice, ticked=domains).about(action)
    context = {
        "action": action,
        "count": count,
        "gone": gone,
        "domains": domains,
        "named": (domains or ())[:NAMED],
        "unnamed": max(0, count - NAMED),
        "query": choice.query,
        "is_narrowed": choice.is_narrowed,
        "back": _address(choice),
        "grown_from": grown_from,
        "already": choice.records.filter(job__isnull=False).count(),
        "question": questions.ask(user_of(request).pk, about, count),
    }
    return render(request, "policies/bulk.html", context)


def _answered(
    request: HttpRequest, action: str, choice: Choice, question: Question
) -> HttpResponse:
    """Do what was asked, unless that was done before or is more by now than the question named."""
    with transaction.atomic():
        if not questions.answer(question):
            messages.warning(request, ANSWERED)
            return _back(choice)
        if action == "refetch":
            _refetch(request, choice, question)
            return _back(choice)
        records = list(choice.records.only("pk", "domain")[: question.count + 1])
        if len(records) <= question.count:
            _delete(request, records, question)
            return _back(choice)
        transaction.set_rollback(True)
    return _ask(request, action, choice, grown_from=question.count)


def _refetch(request: HttpRequest, choice: Choice, question: Question) -> None:
    count = choice.records.count()
    if not choice.records.filter(job=None).exists():
        messages.warning(request, f"Refetch: {count:,} queued already; nothing was added.")
        return
    job = tasks.request_refetch_of_many(choice.records, _description(choice), user_of(request))
    audit.log(user_of(request), [job], ADDITION, f"Refetch of {job.total} policies.")
    parts = [f"{job.total:,} queued as job {job.pk}"]
    if count > job.total:
        parts.append(f"{count - job.total:,} queued already")
    if choice.ticked is not None and question.count > count:
        parts.append(f"{question.count - count:,} skipped, not cached any more")
    messages.success(request, f"Refetch: {', '.join(parts)}.")


def _delete(request: HttpRequest, records: list[PolicyRecord], question: Question) -> None:
    audit.log(user_of(request), records, DELETION, "Deleted with others from the list.")
    deleted = cache.delete([record.domain for record in records])
    skipped = question.count - deleted
    says = f"Forgotten: {deleted:,} {'policy' if deleted == 1 else 'policies'}."
    says = f"{says} The next lookup of each fetches it anew."
    messages.success(request, f"{says} {skipped:,} were gone already." if skipped else says)


def _description(choice: Choice) -> str:
    if choice.ticked is not None:
        return ", ".join(choice.ticked)
    return f"all policies{' that match ' + choice.query if choice.is_narrowed else ''}"


def _address(choice: Choice) -> str:
    return reverse("policies:list") + choice.query


def _back(choice: Choice) -> HttpResponseRedirect:
    return HttpResponseRedirect(_address(choice), status=303)
