"""The site's addresses; the product's own pages are in `policies.urls`."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from mtastsweb.accounts import PasswordView


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """Says that the web process answers; whether the rest works is /readyz's to say."""
    return HttpResponse("ok", content_type="text/plain")


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", PasswordView.as_view(), name="password"),
    path("admin/", admin.site.urls),
    path("", include("policies.urls")),
]
