"""The product's Django application."""

from __future__ import annotations

from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "policies"
    verbose_name = "MTA-STS policies"

    def ready(self) -> None:
        from policies import checks, schema  # noqa: F401 - to register them, once models are there
