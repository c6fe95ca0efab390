"""`Probe`: that an operator wants the mail hosts of a domain probed, and what they showed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class Probe(models.Model):
    """There is a row for each domain that is probed, and for no other.

    `results`: of each host, by the names of `policies.probing.result`. `fails`: no mail host that
    fits the policy verifies, and at least one certainly does not.
    """

    domain = models.CharField(max_length=255, primary_key=True)
    wanted_at = models.DateTimeField()
    wanted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    due = models.DateTimeField()
    probed_at = models.DateTimeField(null=True, blank=True)
    results = models.JSONField(blank=True, default=list)
    fails = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        indexes: ClassVar = [
            models.Index(fields=["due"], name="probe_by_due"),
            models.Index(fields=["domain"], name="probe_failing", condition=models.Q(fails=True)),
        ]

    def __str__(self) -> str:
        return self.domain

    def of(self, host: str) -> dict[str, Any] | None:
        """What this host showed."""
        return next((each for each in self.results if each["host"] == host), None)
