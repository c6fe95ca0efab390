"""The list by the end of policies, in an index's own order, and what operators edited."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("policies", "0007_history")]

    operations = [
        migrations.RemoveIndex(model_name="policyrecord", name="policy_by_end"),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(fields=["valid_end", "domain"], name="policy_by_end"),
        ),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(
                fields=["-last_use_key", "domain"],
                name="policy_edited",
                condition=models.Q(edited__isnull=False),
            ),
        ),
    ]
