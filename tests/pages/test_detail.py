"""The page of one policy."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from policies import cache, tasks
from policies.models import Fetch, PolicyRecord, PolicyVersion
from policies.mtasts.errors import FetchError
from tests.pages import making
from tests.pages.conftest import As, someone
from tests.worlds import TESTING, Script, record

pytestmark = pytest.mark.django_db

DOMAIN = "one.example"
PAGE = f"/policies/{DOMAIN}/"


def dns_record(html: str) -> str:
    """What the page says of it, as text."""
    said = re.search("<dt>DNS record</dt><dd>(.*?)</dd>", html, re.DOTALL)
    assert said
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", said[1])).strip()


class TestDNSRecord:
    def test_is_that_of_the_last_fetch_that_was_stored(self, as_: As) -> None:
        then = timezone.now() - timedelta(hours=3)
        making.record(DOMAIN, record_id="7", last_update=then)
        html = as_("viewer").get(PAGE).content.decode()
        assert dns_record(html) == "_mta-sts.one.example id 7 as seen 3 h ago"

    def test_is_a_newer_one_whose_policy_could_not_be_fetched(
        self, script: Script, as_: As
    ) -> None:
        script.time = timezone.now() - timedelta(hours=1)
        script.publish()
        cache.get(DOMAIN)
        script.pass_(hours=1)
        script.look, script.fetch = record("2"), FetchError("refused", reason="connection-refused")
        fetch, _ = tasks.request_refetch(PolicyRecord.objects.get().name, someone("operator"))
        tasks.refetch(fetch.pk)
        html = as_("operator").get(PAGE).content.decode()
        assert "id 2 as seen" in dns_record(html)

    def test_is_none_where_the_last_fetch_found_none(self, as_: As) -> None:
        now = timezone.now()
        making.record(DOMAIN, last_update=now - making.DAY)
        Fetch.objects.create(
            domain=DOMAIN, source="refresh", state="done", outcome="no-record", finished_at=now
        )
        html = as_("viewer").get(PAGE).content.decode()
        assert "none as seen" in dns_record(html)

    def test_is_looked_at_by_those_who_may(self, as_: As) -> None:
        making.record(DOMAIN)
        shown = {role: as_(role).get(PAGE).content.decode() for role in ("viewer", "operator")}
        assert ["look at it now" in html for html in shown.values()] == [False, True]


def test_a_fetch_that_changed_the_text_leads_to_what_it_found(script: Script, as_: As) -> None:
    script.time = timezone.now() - timedelta(hours=1)
    script.publish()
    cache.get(DOMAIN)
    script.time = timezone.now()
    script.publish(TESTING, "2")
    fetch, _ = tasks.request_refetch(PolicyRecord.objects.get().name, someone("operator"))
    tasks.refetch(fetch.pk)
    assert Fetch.objects.filter(changed=True).count() == 2
    html = as_("viewer").get(PAGE).content.decode()
    versions = re.findall(r'<article id="version-(\d+)"', html)
    assert len(versions) == 2
    assert re.findall(r'href="#version-(\d+)"', html) == versions


def test_a_fetch_whose_version_is_shown_no_more_leads_nowhere(script: Script, as_: As) -> None:
    script.publish()
    cache.get(DOMAIN)
    PolicyVersion.objects.all().delete()
    html = as_("viewer").get(PAGE).content.decode()
    assert ">changed</span>" in html
    assert "#version-" not in html
