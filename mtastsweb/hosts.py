"""Under which names the site is answered."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.http.request import split_domain_port, validate_host
from django.middleware.common import CommonMiddleware

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Machines ask these, from inside, by whatever name or address this machine has there."""

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class HostMiddleware(CommonMiddleware):
    """Refuses names that are not among ALLOWED_HOSTS, but for probes, which make no link of one."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if request.path_info in PROBES:
            return None
        return super().process_request(request)


def is_ours(request: HttpRequest) -> bool:
    """Whether it asks for this site by one of its names, or for this machine by one of loopback's.

    A browser on this machine that is on a page from elsewhere says that page's name, even where its
    DNS has led the browser here.
    """
    said = request.META.get("HTTP_HOST")
    if said is None:
        return True  # HTTP/1.0, and so no browser
    host, _port = split_domain_port(said.lower())
    return validate_host(host, [*LOOPBACK, *settings.ALLOWED_HOSTS])
