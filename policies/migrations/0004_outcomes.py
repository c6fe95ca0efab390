"""How lookups ended, by UTC day, and an index of policies by their latest outcome."""

import django.db.models.deletion
from django.db import migrations, models

KINDS = [
    ("domain", "a domain"),
    ("none", "domains without MTA-STS"),
    ("other", "other domains"),
    ("resolver", "our resolver failed"),
]
SOURCES = [("lookup", "mail server"), ("operator", "operator"), ("refresh", "refresh")]


def number():
    return "id", models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )


def counts():
    return [(name, models.BigIntegerField()) for name in ("count", "failed", "fallbacks")]


def times():
    return [(name, models.DateTimeField()) for name in ("first_seen", "last_seen")]


class Migration(migrations.Migration):
    dependencies = [("policies", "0003_changes")]

    operations = [
        migrations.CreateModel(
            name="OutcomePolicy",
            fields=[
                ("digest", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("type", models.CharField(max_length=32)),
                ("lines", models.JSONField()),
                ("mx", models.JSONField()),
                ("last_day", models.DateField(db_index=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Outcome",
            fields=[
                number(),
                *counts(),
                ("day", models.DateField()),
                ("kind", models.CharField(choices=KINDS, max_length=8)),
                ("domain", models.CharField(blank=True, max_length=255)),
                ("source", models.CharField(choices=SOURCES, max_length=8)),
                (
                    "policy",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="policies.outcomepolicy",
                    ),
                ),
                *times(),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["-day", "-failed", "-id"], name="outcome_worst_first"),
                    models.Index(
                        fields=["source", "-day", "-failed", "-id"], name="outcome_by_source"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("domain", "day", "kind", "source", "policy"), name="outcome_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OutcomeFailure",
            fields=[
                number(),
                (
                    "outcome",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="details",
                        to="policies.outcome",
                    ),
                ),
                ("day", models.DateField()),
                ("digest", models.CharField(max_length=32)),
                ("result_type", models.CharField(max_length=64)),
                ("reason", models.CharField(blank=True, max_length=255)),
                ("additional", models.CharField(blank=True, max_length=1000)),
                ("sending_ip", models.CharField(blank=True, max_length=64)),
                ("receiving_ip", models.CharField(blank=True, max_length=64)),
                ("receiving_mx", models.CharField(blank=True, max_length=255)),
                ("receiving_helo", models.CharField(blank=True, max_length=255)),
                ("fallback", models.BooleanField()),
                ("count", models.BigIntegerField()),
                *times(),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        fields=["result_type", "day", "outcome"], name="outcome_failure_by_type"
                    ),
                    models.Index(fields=["day"], name="outcome_failure_by_day"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("outcome", "digest"), name="outcome_failure_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OutcomeTotal",
            fields=[
                number(),
                *counts(),
                ("day", models.DateField()),
                ("kind", models.CharField(max_length=8)),
                ("source", models.CharField(max_length=8)),
                ("result_type", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "kind", "source", "result_type"), name="outcome_total_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OutcomeAllowance",
            fields=[
                ("hour", models.DateTimeField(primary_key=True, serialize=False)),
                ("taken", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="OutcomeSummary",
            fields=[
                number(),
                ("outcome_type", models.CharField(blank=True, max_length=32)),
                ("outcome_failure", models.CharField(blank=True, max_length=64)),
                ("count", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(
                fields=["outcome_type", "outcome_failure", "-last_use_key", "domain"],
                name="policy_by_outcome",
            ),
        ),
    ]
