"""Which domains have their mail hosts probed, and what these showed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0016_api_tokens"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Probe",
            fields=[
                ("domain", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("wanted_at", models.DateTimeField()),
                ("due", models.DateTimeField()),
                ("probed_at", models.DateTimeField(blank=True, null=True)),
                ("results", models.JSONField(blank=True, default=list)),
                ("fails", models.BooleanField(default=False)),
                (
                    "wanted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["due"], name="probe_by_due"),
                    models.Index(
                        condition=models.Q(("fails", True)), fields=["domain"], name="probe_failing"
                    ),
                ],
            },
        ),
    ]
