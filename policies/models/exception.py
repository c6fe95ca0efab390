"""`PolicyException`: what an operator has Postfix told in place of a published policy."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from policies.mtasts import DomainNameError, parse_domain
from policies.socketmap.exceptions import Action, Level, Rule, Scope


class PolicyException(models.Model):
    """One exception. What its columns mean together, and which values may be, is for
    `policies.socketmap.exceptions` to say; only `policies.exceptions` writes here.

    It counts from `since` up to `until`. `ended`: when somebody ended it, or when it was noticed
    to be over; of one target there is one that has not ended. `uses`: replies given under it.
    """

    class Scope(models.TextChoices):
        """What it is about."""

        DOMAIN = Scope.DOMAIN, "domain"
        SUFFIX = Scope.SUFFIX, "suffix"
        MX = Scope.MX, "MX pattern"
        EVERYTHING = Scope.EVERYTHING, "everything"

    class Action(models.TextChoices):
        """What Postfix is told."""

        SKIP = Action.SKIP, "skip"
        ENFORCE = Action.ENFORCE, "enforce"
        PIN = Action.PIN, "pin"
        REQUIRE = Action.REQUIRE, "require"

    class Level(models.TextChoices):
        ENCRYPT = Level.ENCRYPT, "encrypt"
        SECURE = Level.SECURE, "secure"

    scope = models.CharField(max_length=10, choices=Scope.choices)
    target = models.CharField(max_length=260, blank=True, default="", db_default="")
    action = models.CharField(max_length=8, choices=Action.choices)
    policy_text = models.TextField("policy text", blank=True, default="", db_default="")
    level = models.CharField(
        max_length=8, choices=Level.choices, blank=True, default="", db_default=""
    )
    match = models.JSONField(
        "names to match", blank=True, default=list, db_default=models.Value([], models.JSONField())
    )
    reason = models.CharField(max_length=500)
    owner = models.CharField(max_length=150)
    since = models.DateTimeField("from", default=timezone.now, db_default=Now())
    until = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(default=timezone.now, db_default=Now())
    ended = models.DateTimeField(null=True, blank=True)
    uses = models.BigIntegerField(default=0, db_default=0)
    last_use = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [
            models.Index(fields=["-ended", "-id"], name="exception_by_end"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["scope", "target"],
                condition=models.Q(ended__isnull=True),
                name="exception_once",
            ),
            models.CheckConstraint(
                name="exception_scope_known",
                condition=models.Q(scope__in=["domain", "suffix", "mx", "everything"]),
            ),
            models.CheckConstraint(
                name="exception_action_known",
                condition=models.Q(action__in=["skip", "enforce", "pin", "require"]),
            ),
            models.CheckConstraint(
                name="exception_level_known",
                condition=models.Q(level__in=["", "encrypt", "secure"]),
            ),
        ]
        permissions: ClassVar = [
            ("endless_policyexception", "Can make exceptions without end"),
            ("pause_policyexception", "Can pause all enforcement"),
        ]
        verbose_name = "exception"

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.shown_target}"

    @property
    def shown_target(self) -> str:
        """What it is about, in both forms where a name in it has two."""
        if not self.target:
            return "everything"
        name = self.target.lstrip("*.")
        start = self.target.removesuffix(name)
        try:
            domain = parse_domain(name)
        except DomainNameError:  # written past all checks
            return self.target
        is_same = domain.ascii == domain.unicode
        return self.target if is_same else f"{self.target} ({start}{domain.ascii})"

    @property
    def rule(self) -> Rule:
        """What it says, unchecked: whoever wrote the row may have passed by all checks."""
        return Rule(
            scope=Scope(self.scope),
            target=self.target,
            action=Action(self.action),
            since=self.since,
            until=self.until,
            reason=self.reason,
            owner=self.owner,
            policy_text=self.policy_text,
            level=Level(self.level) if self.level else None,
            match=tuple(map(str, self.match)) if isinstance(self.match, list) else (),
            id=self.pk or 0,
        )

    def state(self, now: datetime) -> str:
        """`active`, `coming` or `ended`."""
        if self.ended is not None or (self.until is not None and self.until <= now):
            return "ended"
        return "coming" if now < self.since else "active"
