"""`Job`: many fetches as one piece of work, with progress; `Summary`: counts of the cache."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Job(models.Model):
    """A round of the periodic refresh, or a refetch of many policies that an operator asked for.

    A refetch marks its rows with the job's number, in one statement whatever their number, and the
    refresh's loop works them off; a stop takes the marks away.
    """

    class Kind(models.TextChoices):
        """What is done."""

        REFRESH = "refresh", "periodic refresh"
        REFETCH = "refetch", "refetch"

    class State(models.TextChoices):
        RUNNING = "running", "running"
        DONE = "done", "done"
        STOPPED = "stopped", "stopped"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    description = models.CharField(max_length=255, blank=True, default="")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0, help_text="Fetches that ended, failed or not.")
    failed = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-started_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["kind"], name="job_running", condition=models.Q(state="running"))
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}: {self.done} of {self.total}"

    def rate(self, now: datetime) -> float:
        """Fetches a second, from its start to its end or to `now`."""
        seconds = ((self.finished_at or now) - self.started_at).total_seconds()
        return self.done / seconds if seconds > 0 else 0.0

    def time_left(self, now: datetime) -> timedelta | None:
        """At the rate so far; None where that says nothing."""
        rate = self.rate(now)
        if self.state != self.State.RUNNING or not rate:
            return None
        return timedelta(seconds=max(0, self.total - self.done) / rate)


class Summary(models.Model):
    """Counts of the whole cache, as of a moment: to count a million rows takes too long for a page.

    `counts`: by the names of the list's tiles. `took`: seconds that counting took.
    """

    name = models.CharField(max_length=32, primary_key=True)
    counts = models.JSONField(default=dict)
    at = models.DateTimeField()
    took = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "summaries"

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%H:%M:%S}"
