"""Substring search on PostgreSQL, the tick's schedule, and the roles."""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.transaction import atomic
from django.db.utils import DatabaseError

TRIGRAM_INDEX = "policy_domain_trigram"

VIEWER = [
    ("policies", "view_policyrecord"),
    ("policies", "view_fetch"),
]
OPERATOR = [
    *VIEWER,
    ("policies", "refetch_policyrecord"),
    ("policies", "change_policyrecord"),
    ("policies", "delete_policyrecord"),
]
ADMINISTERED = ["policies", "auth", "admin", "axes", "django_q", "sessions"]


def add_trigram_index(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with atomic(schema_editor.connection.alias):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as error:
        # Searching works without it, slower: a user that may not create extensions is no reason
        # to stop here.
        print(f"\n  pg_trgm cannot be had ({error}); substring search will read the whole table.")
        return
    schema_editor.execute(
        f"CREATE INDEX IF NOT EXISTS {TRIGRAM_INDEX}"
        " ON policies_policyrecord USING gin (domain gin_trgm_ops)"
    )


def drop_trigram_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {TRIGRAM_INDEX}")


def add_schedule(apps, schema_editor):
    schedule = apps.get_model("django_q", "Schedule")
    schedule.objects.update_or_create(
        name="policies.tick",
        defaults={
            "func": "policies.tasks.tick",
            "schedule_type": "I",  # minutes
            "minutes": 1,
            "repeats": -1,
            "kwargs": "q_options={'save': False}",
        },
    )


def remove_schedule(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name="policies.tick").delete()


def add_roles(apps, schema_editor):
    # Django makes permissions after all migrations; the groups need them now.
    for label in ADMINISTERED:
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)
    group = apps.get_model("auth", "Group")
    permission = apps.get_model("auth", "Permission")

    def grant(name, permissions):
        role, _ = group.objects.get_or_create(name=name)
        role.permissions.add(*permissions)

    for name, codes in (("viewer", VIEWER), ("operator", OPERATOR)):
        grant(
            name,
            [
                permission.objects.get(content_type__app_label=label, codename=code)
                for label, code in codes
            ],
        )
    grant("administrator", permission.objects.filter(content_type__app_label__in=ADMINISTERED))


def remove_roles(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    group.objects.filter(name__in=["viewer", "operator", "administrator"]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("axes", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(add_trigram_index, drop_trigram_index),
        migrations.RunPython(add_schedule, remove_schedule),
        migrations.RunPython(add_roles, remove_roles),
    ]
