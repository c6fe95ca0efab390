"""Who is asking, seen through the TLS proxy where there is one."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def address(request: HttpRequest) -> str:
    """The client's IP address; empty where it is unknown (a unix socket).

    Behind the proxy of `WEB_HTTPS` it is the last entry of X-Forwarded-For: the proxy adds it,
    and whatever stands before it may be the client's invention.
    """
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.MTASTS.web_https else ""
    nearest = forwarded.rpartition(",")[2].strip()
    return nearest or str(request.META.get("REMOTE_ADDR", ""))
