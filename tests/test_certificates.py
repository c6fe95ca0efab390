"""What is kept of a policy host's certificate."""

from __future__ import annotations

import dataclasses

import pytest

from policies import cache, refresh
from policies.models import PolicyRecord
from policies.models.policy import CERTIFICATE_NAMES
from policies.mtasts.errors import FetchError
from tests.worlds import CERTIFICATE, ENFORCE, Script, policy, record, served

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"


def row() -> PolicyRecord:
    return PolicyRecord.objects.get(domain=DOMAIN)


def test_a_lookup_that_fetches_keeps_it(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    assert row().certificate_end == CERTIFICATE.not_after
    assert row().certificate_begin == CERTIFICATE.not_before
    assert row().certificate == {
        "issuer": "A Test CA",
        "names": ["mta-sts.example.org"],
        "more_names": 0,
        "begin": CERTIFICATE.not_before.isoformat(),
    }


def test_a_refresh_that_finds_nothing_new_keeps_the_new_one(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    later = dataclasses.replace(CERTIFICATE, not_after=CERTIFICATE.not_after.replace(year=2027))
    script.fetch = dataclasses.replace(served(), certificate=later)
    PolicyRecord.objects.update(refresh_due=None)
    assert refresh.run(outside=script.world).unchanged == 1
    assert row().certificate_end == later.not_after


def test_a_refresh_under_an_edit_keeps_it(script: Script) -> None:
    cache.upsert(DOMAIN, "1", policy(), ENFORCE)
    PolicyRecord.objects.update(edited=script.now(), refresh_due=None, last_use=script.now())
    script.publish()
    refresh.run(outside=script.world)
    assert row().edited
    assert row().certificate_end == CERTIFICATE.not_after


def test_a_fetch_that_fails_leaves_it(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    script.look, script.fetch = record("2"), FetchError("no", reason="http-status-500")
    cache.get(DOMAIN)
    assert row().certificate_end == CERTIFICATE.not_after


def test_without_a_policy_there_is_none(script: Script) -> None:
    script.publish()
    cache.get(DOMAIN)
    script.pass_(days=2)
    script.look, script.fetch = record("2"), FetchError("no", reason="http-status-500")
    cache.get(DOMAIN)
    assert row().backoff
    assert (row().certificate_end, row().certificate) == (None, None)


def test_of_many_names_some_are_kept(script: Script) -> None:
    names = tuple(f"mta-sts.d{number}.example" for number in range(100))
    script.publish()
    script.fetch = dataclasses.replace(
        served(), certificate=dataclasses.replace(CERTIFICATE, names=names)
    )
    cache.get(DOMAIN)
    kept = row().certificate
    assert kept is not None
    assert kept["names"] == list(names[:CERTIFICATE_NAMES])
    assert kept["more_names"] == 100 - CERTIFICATE_NAMES
