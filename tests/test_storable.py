"""Text from outside, before it is stored."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policies import cache, refresh
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import FetchError, PolicySyntaxError
from policies.storable import storable
from tests.worlds import ENFORCE, Script, policy, record

HOSTILE = PolicySyntaxError("expected a policy", line=1, received="a\0b")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", ""),
        (ENFORCE, ENFORCE),
        ("grüße ☕ \U0001f600\r\n\t", "grüße ☕ \U0001f600\r\n\t"),
        ("a\0b\0", "a\ufffdb\ufffd"),
        ("a\ud800b", "a?b"),
    ],
)
def test_loses_only_what_no_database_takes(text: str, stored: str) -> None:
    assert storable(text) == stored


@pytest.mark.django_db
class TestAHostThatSendsNUL:
    def test_backs_off_like_any_other(self, script: Script) -> None:
        script.look, script.fetch = record(), HOSTILE
        cache.get("example.org")
        row = PolicyRecord.objects.get()
        assert (row.backoff, row.policy_text) == (True, "a\ufffdb")

    def test_does_not_end_a_refresh_by_what_it_serves(self, script: Script) -> None:
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(last_use=script.now())
        script.pass_(days=2)
        script.look, script.fetch = record(), HOSTILE
        assert refresh.run().failed == 1
        assert PolicyRecord.objects.get().policy_text == "a\ufffdb"

    def test_nor_by_how_it_fails(self, script: Script) -> None:
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(last_use=script.now(), refresh_due=None)
        script.pass_(minutes=1)
        script.look = record()
        script.fetch = FetchError("BadStatusLine: HTTP\0", reason="bad-response")
        assert refresh.run().failed == 1
        assert Fetch.objects.get().message == "BadStatusLine: HTTP\ufffd"
        assert PolicyRecord.objects.get().refresh_due > script.now() + timedelta(minutes=4)
