"""Small tables by which processes and machines agree."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """Something that one process at a time may do: who does it, and until when that counts."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=128, blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """When a process was last seen at work, and what it had to tell of it."""

    node = models.CharField(max_length=255)
    kind = models.CharField(max_length=16)
    at = models.DateTimeField()
    details = models.JSONField(
        blank=True, default=dict, db_default=models.Value({}, models.JSONField())
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "kind"], name="heartbeat_one_per_process")
        ]

    def __str__(self) -> str:
        return f"{self.kind}@{self.node}"


class SetupLink(models.Model):
    """The one-time link by which the first login is made; the token itself is not stored."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the token.")
    created = models.DateTimeField()

    def __str__(self) -> str:
        return f"made {self.created:%Y-%m-%d %H:%M}"
