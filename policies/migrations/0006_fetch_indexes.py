"""The log of fetches, filtered and paged by an index whatever is asked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("policies", "0005_jobs")]

    operations = [
        migrations.RemoveIndex(model_name="fetch", name="fetch_by_domain"),
        migrations.AddIndex(
            model_name="fetch",
            index=models.Index(fields=["domain", "-queued_at", "-id"], name="fetch_by_domain"),
        ),
        migrations.RemoveIndex(model_name="fetch", name="fetch_by_time"),
        migrations.AddIndex(
            model_name="fetch",
            index=models.Index(fields=["-queued_at", "-id"], name="fetch_by_time"),
        ),
        migrations.AddIndex(
            model_name="fetch",
            index=models.Index(fields=["outcome", "-queued_at", "-id"], name="fetch_by_outcome"),
        ),
        migrations.AddIndex(
            model_name="fetch",
            index=models.Index(fields=["source", "-queued_at", "-id"], name="fetch_by_source"),
        ),
        migrations.AddIndex(
            model_name="fetch",
            index=models.Index(
                fields=["source", "outcome", "-queued_at", "-id"], name="fetch_by_source_outcome"
            ),
        ),
    ]
