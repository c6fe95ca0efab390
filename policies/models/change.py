"""`Change`: that something about a domain is not as before."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Change(models.Model):
    """Written by triggers of the database, so that no way to change a policy goes unseen.

    Whoever keeps policies in memory reads what is new here (`policies.changes`). An empty domain
    means all of them, "*" that an exception is not as before.
    """

    seq = models.BigAutoField(primary_key=True)
    domain = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["at"], name="change_by_time")]

    def __str__(self) -> str:
        return f"{self.seq}: {self.domain or 'all'}"
