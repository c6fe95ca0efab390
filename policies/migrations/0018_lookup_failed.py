"""The list of what failed at the latest lookup, by an index of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0017_probes"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(
                condition=models.Q(("outcome_failure__gt", "")),
                fields=["-last_use_key", "domain", "outcome_failure"],
                name="policy_lookup_failed",
            ),
        ),
    ]
