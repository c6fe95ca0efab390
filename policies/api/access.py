"""Who may read: a bearer token (RFC 6750) in place of a session, and no more than its owner may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from mtastsweb import client
from policies import tokens
from policies.api.problems import Problem, respond
from policies.models import ApiToken

VIEW = "policies.view_policyrecord"

WRONG_TOKENS = 20
"""Wrong tokens of one address within `WRONG_FOR`; those after them are told to wait."""

WRONG_FOR = 900
"""Seconds."""

_REALM = 'Bearer realm="mtastsweb"'

Resource = Callable[..., Mapping[str, Any]]


def resource(view: Resource) -> Callable[..., HttpResponse]:
    """Make a view of a function that returns an object, or raises Problem or Http404."""
    return feed(VIEW)(view)


def feed(permission: str) -> Callable[[Resource], Callable[..., HttpResponse]]:
    """The same, for those whose owner has this permission."""

    def decorated(view: Resource) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                _let_in(request, permission)
                return JsonResponse(view(request, *args, **kwargs))
            except Problem as problem:
                return respond(problem, request)
            except Http404 as error:
                return respond(Problem(HTTPStatus.NOT_FOUND, str(error)), request)

        # No cookie is looked at, so no other site's page can make a browser send anything.
        guarded: Callable[..., HttpResponse] = never_cache(csrf_exempt(login_not_required(answer)))
        return guarded

    return decorated


def _let_in(request: HttpRequest, permission: str) -> None:
    """Raises Problem for whoever may not read."""
    token = _token(request)
    owner: Any = token.owner
    if not owner.has_perm(permission):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"The token's owner, {owner.get_username()}, has not the permission {permission}.",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'},
        )
    if request.method not in ("GET", "HEAD"):
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "The feed can only be read, with GET.",
            headers={"Allow": "GET, HEAD"},
        )


def _token(request: HttpRequest) -> ApiToken:
    scheme, _, shown = request.headers.get("Authorization", "").strip().partition(" ")
    if not scheme:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "Send a token: Authorization: Bearer TOKEN. An administrator makes one in the admin.",
            headers={"WWW-Authenticate": _REALM},
        )
    now = timezone.now()
    row = tokens.find(shown.strip(), now) if scheme.lower() == "bearer" else None
    if row is None:
        raise _wrong(request)
    tokens.note_use(row, now)
    return row


def _wrong(request: HttpRequest) -> Problem:
    """Whoever tries many is told to wait. A right token is let in all the same: it is too long to
    be guessed, and somebody else behind the same address must not lock it out."""
    key = f"api:wrong:{client.address(request)}"
    count = int(cache.get(key, 0)) + 1
    cache.set(key, count, WRONG_FOR)
    if count > WRONG_TOKENS:
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"More than {WRONG_TOKENS} wrong tokens came from this address.",
            headers={"Retry-After": str(WRONG_FOR)},
        )
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "The token is wrong, expired or revoked, or its owner is not active.",
        headers={"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
    )
