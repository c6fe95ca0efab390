"""What views of policies have in common: who may, which row, and the way back."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from policies.models import PolicyRecord
from policies.mtasts import Domain, DomainNameError, parse_domain

VIEW = "policies.view_policyrecord"
REFETCH = "policies.refetch_policyrecord"
DELETE = "policies.delete_policyrecord"


def find(domain: str) -> PolicyRecord:
    """The row of a domain in any form. Raises Http404."""
    try:
        name = parse_domain(domain)
        return PolicyRecord.objects.get(domain=name.unicode)
    except DomainNameError as error:
        raise Http404(f"This is no domain name: {error}") from error
    except PolicyRecord.DoesNotExist as error:
        raise Http404(f"No policy of {domain} is cached.") from error


def user_of(request: HttpRequest) -> Any:
    """Who is logged in; None for nobody."""
    return request.user if request.user.is_authenticated else None


def is_htmx(request: HttpRequest) -> bool:
    """Whether a part of a page is asked for, by the script of one that is shown."""
    return request.headers.get("HX-Request") == "true"


def address(name: Domain) -> str:
    """Of the page of this policy."""
    return reverse("policies:detail", args=[name.ascii])


def back(request: HttpRequest, default: str) -> HttpResponseRedirect:
    """To the page that the form was on: `next`, if it is one of ours."""
    address = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        address = default
    return HttpResponseRedirect(address, status=303)
