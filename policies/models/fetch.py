"""`Fetch`: one fetch of a policy, from the wish for it to how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Fetch(models.Model):
    """Who or what asked for a fetch, how long it took and how it ended.

    An operator's is there from the moment it is asked for, so that pages can show it waiting; the
    others are written when they have ended.
    """

    class Source(models.TextChoices):
        """Who or what asked."""

        OPERATOR = "operator", "operator"
        LOOKUP = "lookup", "mail server's lookup"
        REFRESH = "refresh", "refresh"

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"

    class Outcome(models.TextChoices):
        """How it ended."""

        FETCHED = "fetched", "fetched"
        FAILED = "failed", "failed"
        NO_RECORD = "no-record", "no MTA-STS record"
        REMOVED = "removed", "removed"
        LOST = "lost", "lost"

    domain = models.CharField(max_length=255)
    source = models.CharField(max_length=16, choices=Source.choices)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, blank=True, default="")
    changed = models.BooleanField(default=False, help_text="The policy text is not as before.")
    failure_type = models.CharField(max_length=64, blank=True, default="")
    failure_reason = models.CharField(max_length=255, blank=True, default="")
    message = models.TextField(blank=True, default="", help_text="What failed, in words.")
    record_id = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-queued_at", "-pk"]
        verbose_name_plural = "fetches"
        indexes: ClassVar = [
            models.Index(fields=["domain", "-queued_at", "-id"], name="fetch_by_domain"),
            models.Index(fields=["-queued_at", "-id"], name="fetch_by_time"),
            models.Index(fields=["outcome", "-queued_at", "-id"], name="fetch_by_outcome"),
            models.Index(fields=["source", "-queued_at", "-id"], name="fetch_by_source"),
            models.Index(
                fields=["source", "outcome", "-queued_at", "-id"], name="fetch_by_source_outcome"
            ),
        ]
        constraints: ClassVar = [
            # A double click asks once.
            models.UniqueConstraint(
                fields=["domain"],
                condition=models.Q(state__in=["queued", "running"]),
                name="fetch_one_open_per_domain",
            )
        ]

    def __str__(self) -> str:
        return f"{self.domain}: {self.outcome or self.state}"

    @property
    def is_open(self) -> bool:
        """Whether it still waits or runs."""
        return self.state != self.State.DONE

    @property
    def failure(self) -> str:
        """`result-type: reason-code`, or nothing."""
        return ": ".join(filter(None, (self.failure_type, self.failure_reason)))

    @property
    def took(self) -> timedelta | None:
        """From start to end, where both are known."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at
