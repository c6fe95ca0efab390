"""Whatever a person does is in the log that the pages show."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from policies import audit, jobs, leases, setup
from policies.models import Fetch, Job, PolicyRecord
from tests.pages import making
from tests.pages.conftest import As
from tests.worlds import Script

pytestmark = pytest.mark.django_db


def entries() -> list[tuple[str, str, str]]:
    """Who, about what, and what is said of it; oldest first."""
    return [
        (entry.user.get_username(), entry.object_repr, entry.get_change_message())
        for entry in LogEntry.objects.select_related("user").order_by("pk")
    ]


def test_a_refetch_by_its_button_once_however_often_it_is_pressed(as_: As) -> None:
    making.record("münchen.example")
    client = as_("operator")
    for _ in range(2):
        client.post("/policies/xn--mnchen-3ya.example/refetch/")
    assert entries() == [("operator", "münchen.example", "Asked for a refetch.")]
    page = client.get("/audit/").content.decode()
    assert "münchen.example" in page
    assert "xn--mnchen-3ya.example" in page
    assert "Asked for a refetch." in client.get("/policies/münchen.example/").content.decode()


def test_refetches_of_ticked_rows_but_for_those_that_were_queued_already(as_: As) -> None:
    for domain in ("a.example", "b.example", "c.example"):
        making.record(domain)
    client = as_("operator")
    client.post("/policies/a.example/refetch/")
    chosen = ["a.example", "b.example", "c.example", "gone.example"]
    client.post("/policies/refetch/", {"domain": chosen})
    assert sorted(what for _, what, _ in entries()) == ["a.example", "b.example", "c.example"]


def test_refetches_of_the_admin_s_list(as_: As) -> None:
    rows = [making.record(domain) for domain in ("a.example", "b.example")]
    client = as_("superuser")
    client.post("/policies/a.example/refetch/")
    form = {"action": "refetch", "_selected_action": [row.pk for row in rows]}
    client.post("/admin/policies/policyrecord/", form)
    assert [what for _, what, _ in entries()] == ["a.example", "b.example"]
    for _ in range(2):
        client.post("/admin/policies/policyrecord/", form | {"select_across": "1"})
    assert Job.objects.count() == 1
    assert entries()[2:] == [("superuser", str(Job.objects.get()), "Refetch of 2 policies.")]


@pytest.mark.parametrize("is_cached", [False, True])
def test_a_fetch_that_is_to_be_stored_after_a_check(is_cached: bool, as_: As) -> None:
    if is_cached:
        making.record("a.example")
    for _ in range(2):
        as_("operator").post("/check/store/", {"domain": "A.example"})
    says = "Asked for a fetch, to store the policy."
    assert entries() == [("operator", "a.example", says)]
    assert Fetch.objects.count() == 1
    if is_cached:
        assert says in as_("viewer").get("/policies/a.example/").content.decode()


def test_the_stop_of_the_refresh_and_the_end_of_its_pause(as_: As) -> None:
    job = Job.objects.create(kind="refresh", total=10)
    client = as_("operator")
    client.post(f"/jobs/{job.pk}/stop/")
    stopped = str(Job.objects.get())
    for _ in range(2):
        client.post("/jobs/resume/")
    assert entries() == [
        ("operator", str(job), "Stopped; the refresh pauses for an hour."),
        ("operator", stopped, "Ended the pause of the periodic refresh."),
    ]


def test_the_end_of_a_pause_whose_job_has_been_forgotten(as_: As) -> None:
    leases.pause(jobs.LEASE, timezone.now() + timedelta(hours=1))
    as_("operator").post("/jobs/resume/")
    assert [says for *_, says in entries()] == ["Ended the pause of the periodic refresh."]


def test_the_first_login(client: Client) -> None:
    secret = "a long and lonely road"
    form = {"username": "first", "password1": secret, "password2": secret}
    client.post("/" + setup.make_link().split("/", 3)[3], form)
    says = "Made by the setup link, as one who may do everything."
    assert entries() == [("first", "first", says)]
    assert says in client.get("/audit/").content.decode()


@pytest.mark.django_db(transaction=True)  # the threads that look up have connections of their own
def test_an_import_on_the_command_line_and_no_word_of_one_that_only_says_what_it_would_do(
    script: Script, tmp_path: Path, as_: As
) -> None:
    domains = tmp_path / "domains"
    domains.write_text("a.example\nb.example\n")
    command = ("mtasts", "import", "domains", str(domains))
    script.publish()
    call_command(*command)
    assert entries() == []
    call_command(*command, "--yes", "--rate", "100")
    assert PolicyRecord.objects.count() == 2
    says = "Imported from domains; 2 domains are looked up."
    assert entries() == [(audit.COMMAND_LINE, "0 policies", says)]
    assert says in as_("superuser").get("/audit/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_import_of_what_is_cached_already_changes_nothing_and_is_in_no_log(
    script: Script, tmp_path: Path
) -> None:
    domains = tmp_path / "domains"
    domains.write_text("a.example\n")
    making.record("a.example")
    call_command("mtasts", "import", "domains", str(domains), "--yes")
    assert entries() == []
