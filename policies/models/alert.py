"""`Alert`: a downgrade of a policy, from first sight to its end; `Message`: what is sent."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from policies.models.fetch import Fetch
from policies.mtasts import DomainNameError, parse_domain


class Alert(models.Model):
    """One change for the worse of one domain (`policies.alerts`).

    `kind`, `severity`, `state` and `closed_because` are words of `policies.alerts.kinds`.
    `evidence`: what was held, what DNS and the policy host showed at first sight.
    """

    domain = models.CharField(max_length=255)
    kind = models.CharField(max_length=32)
    severity = models.CharField(max_length=8)
    state = models.CharField(max_length=10)
    found_by = models.CharField(max_length=16, choices=Fetch.Source.choices)
    opened_at = models.DateTimeField()
    last_seen = models.DateTimeField()
    sightings = models.PositiveIntegerField(default=1)
    reopened = models.PositiveIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_because = models.CharField(max_length=10, blank=True, default="")
    policy_end = models.DateTimeField(
        null=True, blank=True, help_text="Until when the policy held stays in force."
    )
    before_text = models.TextField(blank=True, default="")
    after_text = models.TextField(blank=True, default="")
    evidence = models.JSONField(default=dict, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    note = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-opened_at", "-pk"]
        default_permissions = ()
        permissions: ClassVar = [("acknowledge_alert", "Can acknowledge alerts")]
        constraints: ClassVar = [
            # Two processes that see the same change open one alert.
            models.UniqueConstraint(
                fields=["domain", "kind"],
                condition=models.Q(closed_at__isnull=True),
                name="alert_one_open_per_kind",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["-opened_at", "-id"],
                name="alert_open",
                condition=models.Q(closed_at__isnull=True),
            ),
            models.Index(fields=["-opened_at", "-id"], name="alert_by_time"),
            models.Index(fields=["domain", "-opened_at", "-id"], name="alert_by_domain"),
            models.Index(fields=["kind", "-opened_at", "-id"], name="alert_by_kind"),
            # With all that each tick asks of those that are open.
            models.Index(
                fields=[
                    "closed_at",
                    "severity",
                    "domain",
                    "opened_at",
                    "last_seen",
                    "policy_end",
                    "acknowledged_at",
                ],
                name="alert_by_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.shown_domain}: {self.kind}"

    @property
    def shown_domain(self) -> str:
        """In both forms, where it has two."""
        try:
            return parse_domain(self.domain).both
        except DomainNameError:  # written past all checks
            return self.domain

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    @property
    def before(self) -> dict[str, Any]:
        """What was held, as far as it was known."""
        found: dict[str, Any] = self.evidence.get("before", {})
        return found


class Message(models.Model):
    """Something to be sent, kept until it is: an alert by mail or webhook, or a day's digest.

    `key`: one message of a key is ever made. `body`: as it is sent.
    """

    class Channel(models.TextChoices):
        MAIL = "mail", "mail"
        WEBHOOK = "webhook", "webhook"

    key = models.CharField(max_length=100, unique=True)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    subject = models.CharField(max_length=255, blank=True, default="")
    body = models.TextField(blank=True, default="")
    created = models.DateTimeField()
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When it is tried; empty: it was sent or given up."
    )
    attempts = models.PositiveIntegerField(default=0)
    claim = models.CharField(max_length=64, blank=True, default="")
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-created", "-pk"]
        default_permissions = ()
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                name="message_by_due",
                condition=models.Q(due_at__isnull=False),
            ),
            models.Index(fields=["created"], name="message_by_time"),
        ]

    def __str__(self) -> str:
        return self.key
