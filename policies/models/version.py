"""`PolicyVersion`: what a domain's policy was, from when to when."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from policies.models.fetch import Fetch


class PolicyVersion(models.Model):
    """One text under one record id. Kept apart from the cache, which holds the current one only.

    `last_seen`: its end: another one took its place, or its row was deleted. One without an end is
    in force for as long as its row says (`policies.history`).
    """

    domain = models.CharField(max_length=255)
    record_id = models.CharField(max_length=32, blank=True, default="")
    policy_text = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text, in hex.")
    mode = models.CharField(max_length=8)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField(
        null=True, blank=True, help_text="When another one took its place; empty: it is current."
    )
    found_by = models.CharField(max_length=16, choices=Fetch.Source.choices)

    class Meta:
        ordering: ClassVar = ["-first_seen", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["domain", "-first_seen", "-id"], name="version_by_domain"),
            models.Index(fields=["first_seen"], name="version_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.domain} {self.record_id}"
