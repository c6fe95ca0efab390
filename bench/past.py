"""What operators look at beside the policies: versions, alerts, exceptions, mail hosts, trouble,
outcomes, and what they did themselves.

Of each as much as a cache of its size has, after `bench.rows` has stored the policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.models import Model

    from policies.models import Alert, PolicyException

VERSIONS = 10
"""Of each policy."""

ALERT_OPEN, ALERT_CLOSED = 1000, 20
"""One policy in so many has an open alert, and had one that is over."""

TROUBLED = 5000
"""One policy in so many fails to be refreshed, has a certificate that ends, or mail hosts that do
not fit."""

ENDED = 20_000
"""Exceptions that are over, and a tenth of it in force: whatever the number of policies."""

OUTCOME_DAYS = 10
"""Days with outcomes, today the last: each of one policy in so many."""

FAILED = 50
"""One outcome in so many is a failure."""

DONE = 20_000
"""Entries of the log of what people did."""

BATCH = 500
DAY = timedelta(days=1)

DIGEST = "0123456789abcdef" * 4
HOSTS = '[[10, "mx1.example.com"], [20, "mx2.example.com"]]'


def store(now: datetime) -> None:
    """Each where there is none yet."""
    from django.contrib.admin.models import LogEntry

    from policies.models import Alert, MXCheck, Outcome, PolicyException, PolicyVersion

    if not Outcome.objects.exists():
        _outcomes(now)
    if not LogEntry.objects.exists():
        _done_by_people()
    if not PolicyVersion.objects.exists():
        _versions()
    if not MXCheck.objects.exists():
        _trouble(now)
        _mx_checks(now)
    if not Alert.objects.exists():
        _create(Alert, _alerts(now))
        _mark()
    if not PolicyException.objects.exists():
        _create(PolicyException, _exceptions(now))


def _create(model: type[Model], rows: Iterable[Model]) -> None:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        model._default_manager.bulk_create(batch)


def _days_before(column: str, days: int) -> str:
    """SQL of a time."""
    from django.db import connection

    if connection.vendor == "postgresql":
        return f"{column} - interval '{days} days'"
    return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-{days} days')"


def _versions() -> None:
    """Of every row that holds a policy: the current version, and one for each ten days before."""
    from django.db import connection

    for age in range(VERSIONS):
        # By name, as the index has it: ten million in no order would be written all over it.
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO policies_policyversion (domain, record_id, policy_text, digest, mode,"
                " first_seen, last_seen, found_by)"
                f" SELECT domain, '{VERSIONS - age}', policy_text, '{DIGEST[age:]}{DIGEST[:age]}',"
                f" mode, {_days_before('last_update', 10 * age + 10)},"
                f" {_days_before('last_update', 10 * age) if age else 'NULL'}, 'refresh'"
                " FROM policies_policyrecord WHERE policy_text <> '' ORDER BY domain"
            )


def _outcomes(now: datetime) -> None:
    """Of each day one of a part of the policies, a few of them failures, and their sums."""
    from django.db import connection

    from policies.models import OutcomePolicy

    digest = DIGEST[:32]
    OutcomePolicy.objects.create(
        digest=digest, type="sts", lines=["version: STSv1"], mx=["mx1.example.com"],
        last_day=now.date(),
    )  # fmt: skip
    failed = f"CASE WHEN id %% {FAILED} = 0 THEN 1 ELSE 0 END"
    for age in range(OUTCOME_DAYS):
        day = now.date() - age * DAY
        moment = connection.ops.adapt_datetimefield_value(now - age * DAY)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO policies_outcome (day, kind, domain, source, policy_id, count, failed,"
                f" fallbacks, first_seen, last_seen) SELECT %s, 'domain', domain, 'lookup', %s, 3,"
                f" {failed}, 0, %s, %s FROM policies_policyrecord"
                f" WHERE (id / {FAILED}) %% {OUTCOME_DAYS} = {age} ORDER BY domain",
                [day, digest, moment, moment],
            )
            cursor.execute(
                "INSERT INTO policies_outcomefailure (outcome_id, day, digest, result_type, reason,"
                " additional, sending_ip, receiving_ip, receiving_mx, receiving_helo, fallback,"
                f" count, first_seen, last_seen) SELECT id, day, '{digest}',"
                " 'sts-policy-fetch-error', 'no-policy-served', '', '', '', '', '', FALSE, failed,"
                " first_seen, last_seen FROM policies_outcome WHERE day = %s AND failed > 0",
                [day],
            )
            for type_, condition in (("", ""), ("sts-policy-fetch-error", " AND failed > 0")):
                cursor.execute(
                    "INSERT INTO policies_outcometotal (day, kind, source, result_type, count,"
                    " failed, fallbacks) SELECT day, kind, source, %s, SUM(count), SUM(failed), 0"
                    f" FROM policies_outcome WHERE day = %s{condition} GROUP BY day, kind, source",
                    [type_, day],
                )


def _done_by_people() -> None:
    from django.contrib.admin.models import CHANGE
    from django.contrib.auth.models import User

    from policies import audit
    from policies.models import PolicyRecord

    user, _ = User.objects.get_or_create(username="bench")
    rows = list(PolicyRecord.objects.only("pk", "domain").order_by("pk")[:DONE])
    audit.log_each(user, [(row, "refetch asked for") for row in rows], CHANGE)


def _mx_checks(now: datetime) -> None:
    """Of every policy in use; a few foretell deferrals."""
    from django.db import connection

    foretells = f"id %% {TROUBLED} = 7"
    moment = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO policies_mxcheck (domain, due, checked_at, named, hosts, finding,"
            " foretells, since, failed_at, failure)"
            f" SELECT domain, refresh_due, %s, 'mx', '{HOSTS}',"
            f" CASE WHEN {foretells} THEN 'none' ELSE 'fits' END, {foretells}, %s, NULL, ''"
            " FROM policies_policyrecord WHERE last_use >= %s ORDER BY domain",
            [moment, moment, connection.ops.adapt_datetimefield_value(now - 30 * DAY)],
        )


def _trouble(now: datetime) -> None:
    """Refreshes that fail and certificates that end, of policies in use."""
    from django.db.models import F
    from django.db.models.functions import Mod

    from policies.models import PolicyRecord

    rows = PolicyRecord.objects.alias(part=Mod(F("pk"), TROUBLED)).filter(backoff=False)
    rows.filter(part=3).update(
        failures=5, failure_type="sts-webpki-invalid", failure_reason="certificate-expired",
        last_use=now, mode="enforce",
    )  # fmt: skip
    rows.filter(part=5).update(certificate_end=now + 3 * DAY, last_use=now, mode="enforce")
    rows.filter(part=7).update(last_use=now, mode="enforce")


def _alerts(now: datetime) -> Iterator[Alert]:
    """Open ones of this month, and those that are over of the year before."""
    from django.db.models import F
    from django.db.models.functions import Mod

    from policies.alerts.kinds import Closed, Kind
    from policies.models import Alert, PolicyRecord

    random = Random(8)
    rows = PolicyRecord.objects.filter(backoff=False).order_by("pk")
    some = rows.alias(part=Mod(F("pk"), ALERT_CLOSED)).filter(part=ALERT_CLOSED // 2)
    for pk, domain, text in some.values_list("pk", "domain", "policy_text").iterator(BATCH):
        is_open = pk % ALERT_OPEN == ALERT_CLOSED // 2
        opened = now - random.random() * 30 * DAY - (0 if is_open else 1) * 30 * DAY
        kind = random.choice(list(Kind))
        closed = None if is_open else opened + random.random() * 20 * DAY
        yield Alert(
            domain=domain,
            kind=str(kind),
            severity=str(kind.severity),
            state=random.choice(("suspected", "confirmed")),
            found_by="refresh",
            opened_at=opened,
            last_seen=closed or now,
            sightings=3,
            closed_at=closed,
            closed_because=str(Closed.WELL) if closed else "",
            policy_end=now + DAY,
            before_text=text,
            evidence={"before": {"mode": "enforce", "max_age": 86_400, "mx": ["a.example"]}},
        )


def _mark() -> None:
    """Rows know of their open alerts."""
    from policies.alerts.kinds import Kind
    from policies.models import Alert, PolicyRecord

    for kind in Kind:
        domains = list(
            Alert.objects.filter(closed_at=None, kind=str(kind)).values_list("domain", flat=True)
        )
        for start in range(0, len(domains), BATCH):
            batch = domains[start : start + BATCH]
            PolicyRecord.objects.filter(domain__in=batch).update(open_alerts=kind.bit)


def _exceptions(now: datetime) -> Iterator[PolicyException]:
    """Of all scopes but everything; most are over."""
    from policies.models import PolicyException

    for at in range(ENDED + ENDED // 10):
        scope, target = (
            ("domain", f"except{at}.example"),
            ("suffix", f".except{at}.example"),
            ("mx", f"*.except{at}.example"),
        )[at % 3]
        since = now - timedelta(hours=at) / 3 - DAY
        is_over = at >= ENDED // 10
        until = since + DAY if is_over else now + timedelta(hours=2 + at)
        yield PolicyException(
            scope=scope, target=target, action="skip", reason="a benchmark", owner="bench",
            since=min(since, now), until=until, ended=until if is_over else None, uses=at,
        )  # fmt: skip
