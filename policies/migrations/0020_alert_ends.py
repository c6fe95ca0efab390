"""What tells which open alerts have become history, in the index of their ends: each tick asks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0019_list_orders"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="alert", name="alert_by_end"),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(
                fields=[
                    "closed_at",
                    "severity",
                    "domain",
                    "opened_at",
                    "last_seen",
                    "policy_end",
                    "acknowledged_at",
                ],
                name="alert_by_end",
            ),
        ),
    ]
