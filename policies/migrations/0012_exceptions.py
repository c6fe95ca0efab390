"""Exceptions, the triggers that tell of them, and who may make them."""

import django.db.models.functions.datetime
import django.utils.timezone
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

from policies import changes

VIEWER = ["view_policyexception"]
OPERATOR = [*VIEWER, "add_policyexception", "change_policyexception"]
ADMINISTRATOR = [
    *OPERATOR,
    "delete_policyexception",
    "endless_policyexception",
    "pause_policyexception",
]


def create_triggers(apps, schema_editor):
    changes.create_exception_triggers(schema_editor)


def drop_triggers(apps, schema_editor):
    changes.drop_exception_triggers(schema_editor)


def grant(apps, schema_editor):
    # Django makes permissions after all migrations; the groups need them now.
    create_permissions(installed.get_app_config("policies"), verbosity=0, apps=apps)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission")
    for name, codes in (
        ("viewer", VIEWER),
        ("operator", OPERATOR),
        ("administrator", ADMINISTRATOR),
    ):
        role, _ = group.objects.get_or_create(name=name)
        role.permissions.add(
            *permission.objects.filter(content_type__app_label="policies", codename__in=codes)
        )


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0011_mxcheck"),
    ]

    operations = [
        migrations.CreateModel(
            name="PolicyException",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("domain", "domain"),
                            ("suffix", "suffix"),
                            ("mx", "MX pattern"),
                            ("everything", "everything"),
                        ],
                        max_length=10,
                    ),
                ),
                ("target", models.CharField(blank=True, db_default="", default="", max_length=260)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("skip", "skip"),
                            ("enforce", "enforce"),
                            ("pin", "pin"),
                            ("require", "require"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "policy_text",
                    models.TextField(
                        blank=True, db_default="", default="", verbose_name="policy text"
                    ),
                ),
                (
                    "level",
                    models.CharField(
                        blank=True,
                        choices=[("encrypt", "encrypt"), ("secure", "secure")],
                        db_default="",
                        default="",
                        max_length=8,
                    ),
                ),
                (
                    "match",
                    models.JSONField(
                        blank=True,
                        db_default=models.Value([], models.JSONField()),
                        default=list,
                        verbose_name="names to match",
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("owner", models.CharField(max_length=150)),
                (
                    "since",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        verbose_name="from",
                    ),
                ),
                ("until", models.DateTimeField(blank=True, null=True)),
                (
                    "created",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                    ),
                ),
                ("ended", models.DateTimeField(blank=True, null=True)),
                ("uses", models.BigIntegerField(db_default=0, default=0)),
                ("last_use", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "exception",
                "ordering": ["-pk"],
                "permissions": [
                    ("endless_policyexception", "Can make exceptions without end"),
                    ("pause_policyexception", "Can pause all enforcement"),
                ],
                "indexes": [models.Index(fields=["-ended", "-id"], name="exception_by_end")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended__isnull", True)),
                        fields=("scope", "target"),
                        name="exception_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("scope__in", ["domain", "suffix", "mx", "everything"])),
                        name="exception_scope_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("action__in", ["skip", "enforce", "pin", "require"])),
                        name="exception_action_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("level__in", ["", "encrypt", "secure"])),
                        name="exception_level_known",
                    ),
                ],
            },
        ),
        migrations.RunPython(create_triggers, drop_triggers),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
