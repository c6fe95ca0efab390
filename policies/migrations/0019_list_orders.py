"""The index of outcomes in the order in which the list sorts by them: what failed first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0018_lookup_failed"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="policyrecord", name="policy_by_outcome"),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(
                fields=["-outcome_type", "-outcome_failure", "-last_use_key", "domain"],
                name="policy_by_outcome",
            ),
        ),
    ]
