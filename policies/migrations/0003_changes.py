"""Changes of policies, noted by triggers, and details with the signs of life."""

import django.db.models.functions.datetime
from django.db import migrations, models

from policies import changes


def create_triggers(apps, schema_editor):
    changes.create_triggers(schema_editor)


def drop_triggers(apps, schema_editor):
    changes.drop_triggers(schema_editor)


class Migration(migrations.Migration):
    dependencies = [("policies", "0002_search_schedule_roles")]

    operations = [
        migrations.AddField(
            model_name="heartbeat",
            name="details",
            field=models.JSONField(
                blank=True, db_default=models.Value({}, models.JSONField()), default=dict
            ),
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                ("seq", models.BigAutoField(primary_key=True, serialize=False)),
                ("domain", models.CharField(blank=True, max_length=255)),
                (
                    "at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={"indexes": [models.Index(fields=["at"], name="change_by_time")]},
        ),
        migrations.RunPython(create_triggers, drop_triggers),
    ]
