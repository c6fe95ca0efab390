"""What happens to somebody whose session has ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

NOTHING_DONE = "You were not logged in any more, so nothing was done. Log in and try again."


class LoginMiddleware(LoginRequiredMiddleware):
    """Leads back from the login to the page one was on.

    The address of a form that was sent, or of a piece of a page, is nothing to come back to.
    """

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> Any:
        """What is open to all asks the database for nobody: probes answer without one."""
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:
        is_piece = request.headers.get("HX-Request") == "true"
        is_sent = request.method not in ("GET", "HEAD")
        if not is_piece and not is_sent:
            return super().handle_no_permission(request, view_func)
        if is_sent:
            messages.warning(request, NOTHING_DONE)
        answer = redirect_to_login(_page(request), self.get_login_url(view_func))
        # htmx would put the login page into the place of the piece.
        return HttpResponseClientRedirect(answer.url) if is_piece else answer


def _page(request: HttpRequest) -> str:
    """The page that the browser shows, if it is one of ours."""
    address = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(address, {request.get_host()}, request.is_secure()):
        return "/"
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
