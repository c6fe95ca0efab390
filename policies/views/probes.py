"""For load balancers and Prometheus: no login, and no secret told without one."""

from __future__ import annotations

import ipaddress
import secrets

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mtastsweb import hosts
from policies import readiness, scrape

TEXT = "text/plain; charset=utf-8"
FORWARDING = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")
"""Headers by which a proxy shows itself. Who asks through one is somewhere else."""

CLOSED = (
    "Without METRICS_TOKEN, /metrics is for this machine alone, by its own name or a loopback"
    " one, and not through a proxy."
    " Set METRICS_TOKEN, and have Prometheus send it (authorization: credentials).\n"
)


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """Says that the web process answers; whether the rest works is /readyz's to say."""
    return HttpResponse("ok", content_type="text/plain")


@never_cache
@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """`/readyz`: 200 where this node can do its work, 503 where not; why not, after a login."""
    problems = readiness.problems(timezone.now())
    if not problems:
        return HttpResponse("ready\n", content_type=TEXT)
    told = problems if _is_logged_in(request) else ["not ready"]
    return HttpResponse("".join(f"{line}\n" for line in told), status=503, content_type=TEXT)


@never_cache
@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`/metrics`, in Prometheus' formats: with the token; where none is set, from this machine."""
    token = settings.MTASTS.metrics_token
    if token and not _has(token, request):
        answer = HttpResponse("Send METRICS_TOKEN as a bearer token.\n", TEXT, 401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    if not token and not _is_from_here(request):
        return HttpResponse(CLOSED, content_type=TEXT, status=403)
    text, media_type = scrape.exposition(request.headers.get("Accept", ""), timezone.now())
    return HttpResponse(text, content_type=media_type)


def _is_logged_in(request: HttpRequest) -> bool:
    try:
        return request.user.is_authenticated
    except (DatabaseError, InterfaceError):
        return False  # without the database nobody is known


def _has(token: str, request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # The server reads headers as Latin-1, whatever was sent.
    sent = given.strip().encode("latin-1", "replace")
    return scheme.lower() == "bearer" and secrets.compare_digest(sent, token.encode())


def _is_from_here(request: HttpRequest) -> bool:
    if any(header in request.headers for header in FORWARDING) or not hosts.is_ours(request):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
