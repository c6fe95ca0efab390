"""Each request to the web has an id, is counted, and logged where it can change things."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from mtastsweb import requestid
from policies import metrics

log = logging.getLogger(__name__)

ADMIN, OTHER = "admin", "other"
"""Pages that are counted together: the admin's, and what is no page (static files, 404)."""


class ObservingMiddleware:
    """The outermost: what it sees is what the client gets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        request_id = requestid.accepted(request.headers.get(requestid.HEADER, ""))
        with requestid.bound(request_id):
            response = self._get_response(request)
            response.headers[requestid.HEADER] = request_id
            seconds = time.monotonic() - began
            metrics.requested(_view(request), response.status_code, seconds)
            if request.method not in ("GET", "HEAD"):
                log.info(
                    "request",
                    extra={
                        "method": request.method,
                        "path": request.path,
                        "status": response.status_code,
                        "seconds": round(seconds, 3),
                    },
                )
        return response


def _view(request: HttpRequest) -> str:
    """The name of the page, which is no address: those hold domains."""
    match = request.resolver_match
    if match is None:
        return OTHER
    return ADMIN if "admin" in match.app_names else match.view_name or OTHER
