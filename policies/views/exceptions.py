"""Exceptions: the list, making, changing and ending them, the pause, and Postfix's tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from policies import exceptions
from policies.exception_forms import PauseForm, PolicyExceptionForm, TableForm, powers
from policies.exception_listing import ACTIONS, SCOPES, STATES, Filters, page
from policies.models import PolicyException
from policies.mtasts import DomainNameError, parse_domain
from policies.socketmap.exceptions import Powers, Refused, Scope
from policies.socketmap.exceptions.tables import write

VIEW = "policies.view_policyexception"
ADD = "policies.add_policyexception"
CHANGE = "policies.change_policyexception"
PAUSE = "policies.pause_policyexception"

PREFILLED = ("scope", "target", "action", "policy_text", "reason")
COUNTS = "Postfix gets it within a second."


@dataclass(frozen=True, slots=True)
class Row:
    """An exception as the list shows it. `domain`: whose page it belongs to, empty for none."""

    exception: PolicyException
    state: str
    ends_soon: bool
    domain: str


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/exceptions/`."""
    filters, now = Filters.read(request.GET), timezone.now()
    found = page(filters, now)
    return render(
        request,
        "exceptions/list.html",
        {
            "filters": filters,
            "rows": [_row(each, now) for each in found.rows],
            "states": STATES,
            "actions": ACTIONS,
            "scopes": SCOPES,
            "first": filters.query(1) if filters.page > 1 else "",
            "previous": filters.query(filters.page - 1) if filters.page > 1 else "",
            "next": filters.query(filters.page + 1) if found.has_more else "",
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(ADD, raise_exception=True)
def add(request: HttpRequest) -> HttpResponse:
    """`/exceptions/add/`: a query string may fill the form in, so that pages can offer one."""
    user: Any = request.user
    if request.method != "POST":
        given = {name: request.GET[name][:70_000] for name in PREFILLED if name in request.GET}
        form = _form(request, initial={"owner": user.get_username(), **given})
        return _page(request, form)
    form = _form(request, request.POST)
    if form.is_valid() and form.rule is not None:
        try:
            row = exceptions.add(form.rule, form.powers, user, timezone.now())
        except Refused as refused:  # somebody was quicker
            form.add_error(None, str(refused))
        else:
            messages.success(request, f"The exception is made: {row}. {COUNTS}")
            return _to_list()
    return _page(request, form)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(CHANGE, raise_exception=True)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """`/exceptions/<id>/`."""
    row, now = _find(pk), timezone.now()
    if row.state(now) == "ended" or row.scope == Scope.EVERYTHING:
        is_pause = row.scope == Scope.EVERYTHING
        says = "A pause is ended or left as it is." if is_pause else "It has ended. Make another."
        messages.warning(request, says)
        return _to_list()
    if request.method != "POST":
        return _page(request, _form(request, instance=row))
    form = _form(request, request.POST, instance=row)
    if form.is_valid() and form.rule is not None:
        try:
            exceptions.change(row, form.rule, form.powers, request.user, now)
        except Refused as refused:  # somebody was quicker
            form.add_error(None, str(refused))
        else:
            messages.success(request, f"The exception is changed: {row}. {COUNTS}")
            return _to_list()
    return _page(request, form)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(CHANGE, raise_exception=True)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """End an exception now, after asking."""
    row = _find(pk)
    if row.scope == Scope.EVERYTHING and not request.user.has_perm(PAUSE):
        raise PermissionDenied
    if request.method != "POST":
        return render(request, "exceptions/end.html", {"exception": row})
    if exceptions.end(row, request.user, timezone.now()):
        messages.success(request, f"Ended: {row}. Postfix gets the policy again within a second.")
    else:
        messages.warning(request, "It had ended already; nothing was changed.")
    return _to_list()


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(PAUSE, raise_exception=True)
def pause(request: HttpRequest) -> HttpResponse:
    """`/exceptions/pause/`: enforce nothing for some hours."""
    user: Any = request.user
    now = timezone.now()
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            rule = form.rule(user.get_username(), now)
            exceptions.add(rule, powers(user), user, now)
        except Refused as refused:
            form.add_error(None, " ".join(refused.problems.values()))
        else:
            messages.warning(request, f"Enforcement is paused. {COUNTS}")
            return _to_list()
    own = exceptions.unended(now).exclude(action="skip").exclude(scope=Scope.EVERYTHING).count()
    return render(request, "exceptions/pause.html", {"form": form, "own": own})


@require_safe
@permission_required(VIEW, raise_exception=True)
def export(request: HttpRequest) -> HttpResponse:
    """`/exceptions/export`: a table for Postfix."""
    now = timezone.now()
    table = "".join(write(exceptions.current(now).all, now))
    response = HttpResponse(table, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="tls_policy-{now:%Y-%m-%d}"'
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(ADD, raise_exception=True)
def import_(request: HttpRequest) -> HttpResponse:
    """`/exceptions/import/`: shows first what a table comes to; then all of it, or the rest of it
    where that is asked for."""
    user: Any = request.user
    form = TableForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "exceptions/import.html", {"form": form})
    now, may = timezone.now(), powers(user)
    lines = form.lines(user.get_username(), may, now)
    rules = [line.rule for line in lines if line.rule]
    refused = [line for line in lines if line.problem]
    do = request.POST.get("do", "")
    if rules and (do == "rest" or (do == "all" and not refused)):
        try:
            exceptions.add_checked(rules, user, now)
        except Refused as error:  # somebody was quicker
            form.add_error(None, f"Nothing was imported. {error}")
        else:
            said = f", {len(refused)} lines left out" if refused else ""
            messages.success(request, f"{len(rules)} exceptions imported{said}. {COUNTS}")
            return _to_list()
    context = {"form": form, "lines": lines, "rules": rules, "refused": refused, "text": form.text}
    return render(request, "exceptions/import.html", context)


def add_address(**given: str) -> str:
    """Where an exception like this one is made."""
    return f"{reverse('policies:exception-add')}?{urlencode(given)}"


def _form(request: HttpRequest, data: Any = None, **options: Any) -> PolicyExceptionForm:
    may = powers(request.user)
    # A pause has a page of its own.
    return PolicyExceptionForm(data, powers=Powers(endless=may.endless), **options)


def _page(request: HttpRequest, form: PolicyExceptionForm) -> HttpResponse:
    return render(request, "exceptions/form.html", {"form": form, "exception": form.instance})


def _row(each: PolicyException, now: datetime) -> Row:
    state = each.state(now)
    ends_soon = state == "active" and each.until is not None and each.until <= now + exceptions.SOON
    return Row(each, state, ends_soon, _ascii(each.target) if each.scope == Scope.DOMAIN else "")


def _ascii(target: str) -> str:
    try:
        return parse_domain(target).ascii
    except DomainNameError:  # written past all checks
        return ""


def _find(pk: int) -> PolicyException:
    row = PolicyException.objects.filter(pk=pk).first()
    if row is None:
        raise Http404("There is no such exception.")
    return row


def _to_list() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("policies:exceptions"), status=303)
