"""`ApiToken`: what a script shows to read the feed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """Lets whoever has it read what its owner may see. The token itself is not stored."""

    name = models.CharField(max_length=100, help_text="What reads with it, and where.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens",
        help_text="It sees what this user may see, and nothing once the user is inactive.",
    )  # fmt: skip
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token, in hex.")
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField(help_text="It is worth nothing from then on.")
    revoked = models.DateTimeField(null=True, blank=True)
    last_used = models.DateTimeField(
        null=True, blank=True, help_text="Within an hour; empty: never."
    )

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `revoked`; its owner is another matter."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires <= now else "valid"
