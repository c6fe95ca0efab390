"""Jobs and the log of what people did."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from policies import jobs, leases
from policies.models import Job, PolicyRecord
from tests.pages import making
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db


def test_a_running_job_shows_how_far_it_is_and_a_stop(as_: As) -> None:
    then = timezone.now() - timedelta(seconds=100)
    Job.objects.create(kind="refetch", total=1000, done=250, failed=7, started_at=then)
    page = as_("operator").get("/fetches/").content.decode()
    assert "250 of 1,000 done, 7 failed, 2.5 a second, 5 min" in page
    assert '<progress max="1000" value="250"' in page
    assert ">Stop</button>" in page
    assert 'hx-trigger="every 2s"' in page
    assert ">Stop</button>" not in as_("viewer").get("/jobs/").content.decode()


def test_a_piece_for_a_page_that_has_it_and_a_page_for_a_browser(as_: As) -> None:
    client = as_("viewer")
    piece = client.get("/jobs/", headers={"hx-request": "true"}).content.decode()
    assert piece.startswith('<section id="jobs"')
    page = client.get("/jobs/").content.decode()
    assert "<!doctype html>" in page
    assert '<section id="jobs"' in page


@pytest.mark.parametrize("address", ["/jobs/", "/fetches/"])
def test_without_scripts_a_page_with_a_running_job_follows_it(address: str, as_: As) -> None:
    again = '<noscript><meta http-equiv="refresh" content="3"></noscript>'
    client = as_("viewer")
    assert again not in client.get(address).content.decode()
    Job.objects.create(kind="refetch", total=1000, done=250)
    assert again in client.get(address).content.decode()


def test_a_stopped_refresh_pauses_until_somebody_lets_it_go_on(as_: As) -> None:
    job = Job.objects.create(kind="refresh", total=10)
    client = as_("operator")
    assert b"pauses for an hour" in client.post(f"/jobs/{job.pk}/stop/", follow=True).content
    with leases.held(jobs.LEASE, timedelta(minutes=1), timezone.now()) as ours:
        assert not ours
    assert b"is paused until" in client.get("/fetches/").content
    assert b"goes on within a minute" in client.post("/jobs/resume/", follow=True).content
    assert b"was not paused" in client.post("/jobs/resume/", follow=True).content
    with leases.held(jobs.LEASE, timedelta(minutes=1), timezone.now()) as ours:
        assert ours


def test_what_people_did_is_listed_latest_first_in_pages(as_: As) -> None:
    making.many(60)
    client = as_("operator")
    assert b"Nobody changed anything yet" in client.get("/audit/").content
    for domain in PolicyRecord.objects.values_list("domain", flat=True):
        client.post(f"/policies/{domain}/delete/")
    page = client.get("/audit/").content.decode()
    assert page.count("Deleted from its page.") == 50
    following = page.partition('rel="next" href="')[2].partition('"')[0]
    assert client.get(f"/audit/{following}").content.decode().count("Deleted from its page.") == 10
    for odd in ("?before=x", "?before=-1", f"?before={'9' * 400}", "?before=٣"):
        assert client.get(f"/audit/{odd}").status_code == 200
