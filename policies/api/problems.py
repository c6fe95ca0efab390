"""What goes wrong, as problem objects (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse


class Problem(Exception):
    """Ends a request. `parameter`: which one of the query is wrong, if one is."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        parameter: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.headers = dict(headers or {})


def respond(problem: Problem, request: HttpRequest) -> JsonResponse:
    """The problem as an answer."""
    body = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": problem.detail,
        "instance": request.path,
    }
    if problem.parameter:
        body["parameter"] = problem.parameter
    return JsonResponse(
        body,
        status=problem.status,
        headers=problem.headers,
        content_type="application/problem+json",
    )
