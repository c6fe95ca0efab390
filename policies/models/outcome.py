"""How lookups ended, by UTC day: what RFC 8460 reports are made of, kept for months."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class OutcomePolicy(models.Model):
    """A policy as results name it (RFC 8460 section 4.4), but for its domain; kept once.

    `last_day`: the last day that has a row of it.
    """

    digest = models.CharField(max_length=32, primary_key=True)
    type = models.CharField(max_length=32)
    lines = models.JSONField()
    mx = models.JSONField()
    last_day = models.DateField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.type


class Counted(models.Model):
    """Numbers of lookups. `failed`: with a failure, whether or not a cached policy applied all
    the same; `fallbacks`: those among them where one did."""

    count = models.BigIntegerField()
    failed = models.BigIntegerField()
    fallbacks = models.BigIntegerField()

    class Meta:
        abstract = True

    @property
    def successes(self) -> int:
        return self.count - self.failed

    @property
    def failures(self) -> int:
        return self.failed - self.fallbacks


class Outcome(Counted):
    """The lookups of one domain on one day that found the same policy."""

    class Kind(models.TextChoices):
        """Whose lookups a row counts. All but the first have no domain."""

        DOMAIN = "domain", "a domain"
        NONE = "none", "domains without MTA-STS"
        OTHER = "other", "other domains"
        RESOLVER = "resolver", "our resolver failed"

    class Source(models.TextChoices):
        """Which part of us looked."""

        LOOKUP = "lookup", "mail server"
        OPERATOR = "operator", "operator"
        REFRESH = "refresh", "refresh"

    day = models.DateField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    domain = models.CharField(max_length=255, blank=True)
    source = models.CharField(max_length=8, choices=Source.choices)
    policy = models.ForeignKey(OutcomePolicy, models.DO_NOTHING, db_index=False)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["domain", "day", "kind", "source", "policy"], name="outcome_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["-day", "-failed", "-id"], name="outcome_worst_first"),
            models.Index(fields=["source", "-day", "-failed", "-id"], name="outcome_by_source"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.domain or self.kind}"


class OutcomeFailure(models.Model):
    """One failure detail of a row: all lookups that it hit (RFC 8460 section 4.4).

    `digest`: of everything that tells it from the row's others.
    """

    outcome = models.ForeignKey(Outcome, models.DO_NOTHING, related_name="details", db_index=False)
    day = models.DateField()
    digest = models.CharField(max_length=32)
    result_type = models.CharField(max_length=64)
    reason = models.CharField(max_length=255, blank=True)
    additional = models.CharField(max_length=1000, blank=True)
    sending_ip = models.CharField(max_length=64, blank=True)
    receiving_ip = models.CharField(max_length=64, blank=True)
    receiving_mx = models.CharField(max_length=255, blank=True)
    receiving_helo = models.CharField(max_length=255, blank=True)
    fallback = models.BooleanField()
    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["outcome", "digest"], name="outcome_failure_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["result_type", "day", "outcome"], name="outcome_failure_by_type"),
            models.Index(fields=["day"], name="outcome_failure_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.result_type}: {self.reason}" if self.reason else self.result_type


class OutcomeTotal(Counted):
    """The sum of a day's rows, so that a chart need not read them.

    `result_type` empty: all lookups; else those that failed so.
    """

    day = models.DateField()
    kind = models.CharField(max_length=8)
    source = models.CharField(max_length=8)
    result_type = models.CharField(max_length=64, blank=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["day", "kind", "source", "result_type"], name="outcome_total_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.count}"


class OutcomeAllowance(models.Model):
    """How many (domain, day) pairs were asked for in an hour: what bounds the tables."""

    hour = models.DateTimeField(primary_key=True)
    taken = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}: {self.taken}"


class OutcomeSummary(models.Model):
    """How many policies have which latest outcome, as of the last tick."""

    outcome_type = models.CharField(max_length=32, blank=True)
    outcome_failure = models.CharField(max_length=64, blank=True)
    count = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.outcome_failure or self.outcome_type}: {self.count}"
