"""What is kept of policy hosts' certificates, and an index of what fails."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0012_exceptions"),
    ]

    operations = [
        migrations.AddField(
            model_name="policyrecord",
            name="certificate",
            field=models.JSONField(
                blank=True, help_text="Its issuer, some of its names, and its beginning.", null=True
            ),
        ),
        migrations.AddField(
            model_name="policyrecord",
            name="certificate_end",
            field=models.DateTimeField(
                blank=True, help_text="When the policy host's certificate ends.", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(fields=["certificate_end"], name="policy_by_certificate"),
        ),
        migrations.AddIndex(
            model_name="policyrecord",
            index=models.Index(
                condition=models.Q(("failures__gt", 0)), fields=["valid_end"], name="policy_failing"
            ),
        ),
    ]
