"""`PolicyRecord`: a cached policy, or the note that its fetch failed lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from django.db import models
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from policies.mtasts import Domain, MXPattern, Policy, parse_domain
from policies.mtasts import Mode as PolicyMode
from policies.querysets import PolicyRecordQuerySet
from policies.storable import storable
from policies.tlsrpt.result import FailureDetails

if TYPE_CHECKING:
    from policies.mtasts.tls import PeerCertificate

MAX_AGE_LIMIT = 31_557_600
"""The longest max_age of RFC 8461 section 3.2, in seconds: a year."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Sorts before every use: what a row that none has asked for counts as."""


CERTIFICATE_NAMES, CERTIFICATE_TEXT = 8, 255
"""Names of a certificate that are kept, and characters of each; some have a hundred names."""


class PolicyRecord(models.Model):
    """What is known of one domain's policy.

    Times are aware and in UTC. `valid_end` is the last fetch plus max_age, and only a fetch moves
    it. On a row that backs off there is no policy: mode is "none", max_age 300, `record_id` the id
    whose fetch failed, `policy_text` what was received, if anything was, and `valid_end` when it
    may be tried again (RFC 8461 section 3.3).
    """

    class Mode(models.TextChoices):
        """`mode` of RFC 8461 section 3.2."""

        ENFORCE = "enforce", "enforce"
        TESTING = "testing", "testing"
        NONE = "none", "none"

    domain = models.CharField(
        max_length=255, unique=True, help_text="Policy domain, with Unicode characters."
    )
    inserted = models.DateTimeField(default=timezone.now, db_default=Now())
    valid_end = models.DateTimeField("valid until", help_text="Last fetch plus max_age.")
    last_update = models.DateTimeField(
        default=timezone.now,
        db_default=Now(),
        help_text="Last fetch that was stored, whether or not the text changed.",
    )
    last_use = models.DateTimeField(
        null=True, blank=True, help_text="Last time that a mail server asked; empty: never."
    )
    backoff = models.BooleanField(
        default=False, db_default=False, help_text="The fetch failed, and no policy is held."
    )
    record_id = models.CharField(
        "record id", max_length=32, blank=True, default="", db_default="",
        help_text="The id of the TXT record under which the policy was fetched.",
    )  # fmt: skip
    version = models.CharField(max_length=16, blank=True, default="", db_default="")
    mode = models.CharField(
        max_length=8, choices=Mode.choices, default=Mode.NONE, db_default=Mode.NONE
    )
    mx = models.JSONField(
        "MX", blank=True, default=list, db_default=models.Value([], models.JSONField())
    )
    max_age = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Seconds for which the policy may be kept."
    )
    extensions = models.JSONField(
        blank=True, default=list, db_default=models.Value([], models.JSONField()),
        help_text="Fields of the policy that RFC 8461 does not know: [key, value] pairs.",
    )  # fmt: skip
    policy_text = models.TextField(
        "policy text", blank=True, default="", db_default="", help_text="The policy as served."
    )
    refresh_due = models.DateTimeField(
        null=True, blank=True, help_text="When the next refresh is planned; empty: now."
    )

    # The last failed fetch: of the row's own id while backing off, else of `failed_id`, which is
    # then not fetched again before `retry_at`.
    failed_id = models.CharField(max_length=32, blank=True, default="", db_default="")
    retry_at = models.DateTimeField(null=True, blank=True)
    failure_type = models.CharField(max_length=64, blank=True, default="", db_default="")
    failure_reason = models.CharField(max_length=255, blank=True, default="", db_default="")
    failures = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Failed refreshes since the last one that worked."
    )
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="When the first of the fetches in a row failed."
    )

    # What alerts of this domain are open (a sum of `Kind.bit`), and when that was last written.
    open_alerts = models.SmallIntegerField(null=True, blank=True)
    alert_noted = models.DateTimeField(null=True, blank=True)

    # The policy host's, as of the last fetch that worked.
    certificate_end = models.DateTimeField(
        null=True, blank=True, help_text="When the policy host's certificate ends."
    )
    certificate = models.JSONField(
        null=True, blank=True, help_text="Its issuer, some of its names, and its beginning."
    )

    edited = models.DateTimeField(
        null=True, blank=True, help_text="When an operator wrote the text; empty: as published."
    )
    published_differs = models.BooleanField(
        default=False, db_default=False, help_text="The published text is not the edited one."
    )

    # What an expired policy was, kept when a failed fetch took its row.
    held_mode = models.CharField(max_length=8, blank=True, default="", db_default="")
    held_end = models.DateTimeField(null=True, blank=True)

    # Who is fetching at the moment: a token, and until when it counts.
    claim = models.CharField(max_length=64, blank=True, default="", db_default="")
    claimed_until = models.DateTimeField(null=True, blank=True)

    job = models.IntegerField(
        null=True, blank=True, help_text="The job that is to refetch this policy."
    )

    outcome_type = models.CharField(
        "policy type", max_length=32, blank=True, default="", db_default="",
        help_text="Latest TLSRPT outcome: its policy type; empty: none yet.",
    )  # fmt: skip
    outcome_failure = models.CharField(
        "result type", max_length=64, blank=True, default="", db_default=""
    )
    outcome_reason = models.CharField(
        "failure reason code", max_length=255, blank=True, default="", db_default=""
    )
    outcome_at = models.DateTimeField(null=True, blank=True)

    # NULLs sort last on one database and first on the other, and no index serves both: sort by
    # this instead.
    last_use_key = models.GeneratedField(
        expression=Coalesce("last_use", models.Value(NEVER, models.DateTimeField())),
        output_field=models.DateTimeField(),
        db_persist=True,
    )

    objects: ClassVar[PolicyRecordQuerySet] = PolicyRecordQuerySet.as_manager()  # type: ignore[assignment]  # the manager has the queryset's methods

    class Meta:
        ordering: ClassVar = ["-last_use_key", "domain"]
        indexes: ClassVar = [
            models.Index(fields=["-last_use_key", "domain"], name="policy_by_use"),
            models.Index(fields=["mode", "-last_use_key", "domain"], name="policy_by_mode"),
            models.Index(
                fields=["-last_use_key", "domain"],
                name="policy_backing_off",
                condition=models.Q(backoff=True),
            ),
            models.Index(
                fields=["-last_use_key", "domain"],
                name="policy_edited",
                condition=models.Q(edited__isnull=False),
            ),
            models.Index(
                fields=["-last_use_key", "domain", "outcome_failure"],
                name="policy_lookup_failed",
                condition=models.Q(outcome_failure__gt=""),
            ),
            models.Index(fields=["valid_end", "domain"], name="policy_by_end"),
            models.Index(fields=["refresh_due"], name="policy_by_due"),
            models.Index(
                fields=["-outcome_type", "-outcome_failure", "-last_use_key", "domain"],
                name="policy_by_outcome",
            ),
            models.Index(
                fields=["-last_use_key", "domain"],
                name="policy_with_alerts",
                condition=models.Q(open_alerts__isnull=False),
            ),
            models.Index(
                fields=["job"], name="policy_by_job", condition=models.Q(job__isnull=False)
            ),
            models.Index(fields=["certificate_end"], name="policy_by_certificate"),
            models.Index(
                fields=["valid_end"], name="policy_failing", condition=models.Q(failures__gt=0)
            ),
            models.Index(fields=["claim"], name="policy_by_claim", condition=~models.Q(claim="")),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="policy_mode_known",
                condition=models.Q(mode__in=["enforce", "testing", "none"]),
            ),
            models.CheckConstraint(
                name="policy_max_age_in_range",
                condition=models.Q(max_age__gte=0, max_age__lte=MAX_AGE_LIMIT),
            ),
            models.CheckConstraint(name="policy_domain_not_empty", condition=~models.Q(domain="")),
        ]
        permissions: ClassVar = [("refetch_policyrecord", "Can refetch policies")]
        verbose_name = "policy"
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.domain

    @property
    def name(self) -> Domain:
        """The domain in both forms."""
        return parse_domain(self.domain)

    @property
    def policy(self) -> Policy | None:
        """The policy held, expired or not; None while backing off."""
        if self.backoff:
            return None
        return Policy(
            version=self.version,
            mode=PolicyMode(self.mode),
            mx=[MXPattern(pattern) for pattern in self.mx],
            max_age=self.max_age,
            extensions=[(key, value) for key, value in self.extensions],
        )

    @property
    def failure(self) -> FailureDetails | None:
        """Why the last fetch failed, where the row still notes it."""
        if not self.failure_type:
            return None
        return FailureDetails(self.failure_type, self.failure_reason)

    @property
    def certificate_begin(self) -> datetime | None:
        """When the policy host's certificate begins; None where none is known."""
        return certificate_begin(self.certificate)

    def is_valid(self, now: datetime) -> bool:
        """Whether the row counts: what has expired is as if absent."""
        return now < self.valid_end

    def held_enforce_since(self, then: datetime) -> bool:
        """Whether an enforce policy was valid at `then` or after it."""
        return held_enforce_since(self, then)

    def expires_within(self, span: timedelta, now: datetime) -> bool:
        return now < self.valid_end <= now + span


def certificate_begin(certificate: dict[str, Any] | None) -> datetime | None:
    """When a certificate begins, by the column that tells of it."""
    begin = (certificate or {}).get("begin")
    return datetime.fromisoformat(begin) if begin else None


def certificate_fields(certificate: PeerCertificate | None) -> dict[str, Any]:
    """The columns that a policy host's certificate fills."""
    if certificate is None:
        return {"certificate_end": None, "certificate": None}
    return {
        "certificate_end": certificate.not_after,
        "certificate": {
            "issuer": storable(certificate.issuer[:CERTIFICATE_TEXT]),
            "names": [
                storable(name[:CERTIFICATE_TEXT]) for name in certificate.names[:CERTIFICATE_NAMES]
            ],
            "more_names": max(0, len(certificate.names) - CERTIFICATE_NAMES),
            "begin": certificate.not_before.isoformat(),
        },
    }


class Holding(Protocol):
    """What a row says of the policy that it holds or held: a `PolicyRecord`, or those columns."""

    @property
    def backoff(self) -> bool: ...
    @property
    def mode(self) -> str: ...
    @property
    def valid_end(self) -> datetime: ...
    @property
    def held_mode(self) -> str: ...
    @property
    def held_end(self) -> datetime | None: ...


def held_enforce_since(row: Holding, then: datetime) -> bool:
    """Whether an enforce policy was valid at `then` or after it."""
    enforce = PolicyRecord.Mode.ENFORCE
    if row.held_mode == enforce and row.held_end and row.held_end > then:
        return True
    return not row.backoff and row.mode == enforce and row.valid_end > then


def policy_fields(policy: Policy) -> dict[str, Any]:
    """The columns that a policy fills."""
    return {
        "version": policy.version,
        "mode": str(policy.mode),
        "mx": [str(pattern) for pattern in policy.mx],
        "max_age": policy.max_age,
        "extensions": [list(pair) for pair in policy.extensions],
    }
