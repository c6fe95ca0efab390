"""Django admin behind the site's own login."""

from __future__ import annotations

from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

_show_login = LoginView.as_view(redirect_authenticated_user=True)


class Site(admin.AdminSite):
    """Refuses those who are no staff instead of asking them to log in as somebody else."""

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        guarded = super().admin_view(view, cacheable)

        def shut(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            self._refuse(request)
            return guarded(request, *args, **kwargs)

        return update_wrapper(shut, guarded)

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The page of `/accounts/login/`: one look, one lock-out, one place to mend."""
        self._refuse(request)
        return _show_login(request)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """To the page that counts wrong guesses, and writes down what was done."""
        return HttpResponseRedirect(reverse("password"))

    def _refuse(self, request: HttpRequest) -> None:
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied("the admin is for users whose staff status is set")
