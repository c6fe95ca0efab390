"""The site's addresses; the product's own pages are in `policies.urls`."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from mtastsweb.accounts import PasswordView
from mtastsweb.probes import urlpatterns as probes

urlpatterns = [
    *probes,
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("accounts/password/", PasswordView.as_view(), name="password"),
    path("admin/", admin.site.urls),
    path("", include("policies.urls")),
]
