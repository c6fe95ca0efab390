"""`MXCheck`: the mail hosts of a domain, and whether they fit its policy."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models

from policies.mtasts.mxfit import FORETELLS, Fit, MailHost, compare


class MXCheck(models.Model):
    """What DNS said last of the mail hosts of a domain with a policy that is in use.

    Kept apart from the cache, which is written far more often. A look-up that failed moves
    nothing but `failed_at` and `failure`: what was known before stays known.
    """

    domain = models.CharField(max_length=255, primary_key=True)
    due = models.DateTimeField(help_text="When DNS is asked next.")
    checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When DNS last answered; empty: never."
    )
    named = models.CharField(
        max_length=8, blank=True, default="", help_text="How DNS names the mail hosts."
    )
    hosts = models.JSONField(blank=True, default=list, help_text="[preference, name] pairs.")
    finding = models.CharField(
        max_length=8, blank=True, default="",
        help_text="Whether the hosts fit the policy that was cached at the check; empty: unknown.",
    )  # fmt: skip
    foretells = models.BooleanField(
        default=False, help_text="An enforced policy would defer mail, by what was found."
    )
    since = models.DateTimeField(null=True, blank=True, help_text="Since when it is found so.")
    failed_at = models.DateTimeField(
        null=True, blank=True, help_text="When DNS last failed to answer, if that is later."
    )
    failure = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        default_permissions = ()
        verbose_name = "MX check"
        indexes: ClassVar = [
            models.Index(fields=["due"], name="mxcheck_by_due"),
            models.Index(
                fields=["domain"], name="mxcheck_foretold", condition=models.Q(foretells=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.domain}: {self.finding or 'unknown'}"

    @property
    def mail_hosts(self) -> list[MailHost]:
        return [MailHost(preference, name) for preference, name in self.hosts]

    def fit(self, patterns: list[str]) -> Fit | None:
        """The hosts found beside these patterns; None where none were looked for yet."""
        return compare(self.mail_hosts, patterns) if self.checked_at else None

    def found(self, named: str, hosts: list[MailHost], patterns: list[str], now: datetime) -> None:
        """DNS has answered."""
        fit = compare(hosts, patterns)
        if fit.finding != self.finding:
            self.since = now
        self.named = named
        self.hosts = [[host.preference, host.name] for host in hosts]
        self.finding = str(fit.finding)
        self.foretells = fit.finding in FORETELLS
        self.checked_at = now
        self.failed_at, self.failure = None, ""

    def missed(self, failure: str, now: datetime) -> None:
        """DNS has not answered, which says nothing about the domain."""
        self.failed_at, self.failure = now, failure[:255]
