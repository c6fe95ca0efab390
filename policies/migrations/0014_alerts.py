"""Alerts, what is to be sent of them, and rows that know whether they have any."""

import django.db.models.deletion
from django.conf import settings
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations, models


ROLES = ("operator", "administrator")


def grant(apps, schema_editor):
    create_permissions(installed.get_app_config("policies"), verbosity=0, apps=apps)
    permission = apps.get_model("auth", "Permission").objects.get(
        content_type__app_label="policies", codename="acknowledge_alert"
    )
    for role in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        role.permissions.add(permission)


def revoke(apps, schema_editor):
    apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="policies", codename="acknowledge_alert"
    ).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0013_certificates"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("domain", models.CharField(max_length=255)),
                ("kind", models.CharField(max_length=32)),
                ("severity", models.CharField(max_length=8)),
                ("state", models.CharField(max_length=10)),
                (
                    "found_by",
                    models.CharField(
                        choices=[
                            ("operator", "operator"),
                            ("lookup", "mail server's lookup"),
                            ("refresh", "refresh"),
                        ],
                        max_length=16,
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("sightings", models.PositiveIntegerField(default=1)),
                ("reopened", models.PositiveIntegerField(default=0)),
                ("confirmed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_because", models.CharField(blank=True, default="", max_length=10)),
                (
                    "policy_end",
                    models.DateTimeField(
                        blank=True,
                        help_text="Until when the policy held stays in force.",
                        null=True,
                    ),
                ),
                ("before_text", models.TextField(blank=True, default="")),
                ("after_text", models.TextField(blank=True, default="")),
                ("evidence", models.JSONField(blank=True, default=dict)),
                ("acknowledged_at", models.DateTimeField(blank=True, null=True)),
                ("note", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["-opened_at", "-pk"],
                "permissions": [("acknowledge_alert", "Can acknowledge alerts")],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=100, unique=True)),
                (
                    "channel",
                    models.CharField(
                        choices=[("mail", "mail"), ("webhook", "webhook")], max_length=8
                    ),
                ),
                ("subject", models.CharField(blank=True, default="", max_length=255)),
                ("body", models.TextField(blank=True, default="")),
                ("created", models.DateTimeField()),
                (
                    "due_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When it is tried; empty: it was sent or given up.",
                        null=True,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("claim", models.CharField(blank=True, default="", max_length=64)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.CharField(blank=True, default="", max_length=500)),
            ],
            options={
                "ordering": ["-created", "-pk"],
                "default_permissions": (),
            },
        ),
        migrations.AddField(
            model_name="policyrecord",
            name="alert_noted",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="policyrecord",
            name="failing_since",
            field=models.DateTimeField(
                blank=True, help_text="When the first of the fetches in a row failed.", null=True
            ),
        ),
        migrations.AddField(
            model_name="policyrecord",
            name="open_alerts",
            field=models.SmallIntegerField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(
                condition=models.Q(("open_alerts__isnull", False)),
                fields=["-last_use_key", "domain"],
                name="policy_with_alerts",
            ),
        ),
        migrations.AddField(
            model_name="alert",
            name="acknowledged_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)),
                fields=["due_at"],
                name="message_by_due",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["created"], name="message_by_time"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True)),
                fields=["-opened_at", "-id"],
                name="alert_open",
            ),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["-opened_at", "-id"], name="alert_by_time"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["domain", "-opened_at", "-id"], name="alert_by_domain"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["kind", "-opened_at", "-id"], name="alert_by_kind"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["closed_at"], name="alert_by_end"),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at__isnull", True)),
                fields=("domain", "kind"),
                name="alert_one_open_per_kind",
            ),
        ),
        migrations.RunPython(grant, revoke),
    ]
