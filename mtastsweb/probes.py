"""The addresses that machines ask; all that `manage.py metrics --serve` has."""

from __future__ import annotations

from django.urls import path

from policies.views import probes

urlpatterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
]
