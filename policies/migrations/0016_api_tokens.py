"""Tokens of the feed, and who may make them."""

import django.db.models.deletion
import django.utils.timezone
from django.apps import apps as installed
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models


def grant(apps, schema_editor):
    # Django makes permissions after all migrations; the group needs them now.
    create_permissions(installed.get_app_config("policies"), verbosity=0, apps=apps)
    role, _ = apps.get_model("auth", "Group").objects.get_or_create(name="administrator")
    codes = [f"{verb}_apitoken" for verb in ("view", "add", "change", "delete")]
    permission = apps.get_model("auth", "Permission")
    role.permissions.add(
        *permission.objects.filter(content_type__app_label="policies", codename__in=codes)
    )


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0014_alerts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="What reads with it, and where.", max_length=100),
                ),
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of the token, in hex.", max_length=64, unique=True
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires", models.DateTimeField(help_text="It is worth nothing from then on.")),
                ("revoked", models.DateTimeField(blank=True, null=True)),
                (
                    "last_used",
                    models.DateTimeField(
                        blank=True, help_text="Within an hour; empty: never.", null=True
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        help_text="It sees what this user may see, and nothing once the user is inactive.",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "API token",
                "ordering": ["-pk"],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
