"""`/trouble/`: the page."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policies.models import MXCheck
from policies.mtasts.mxfit import MailHost
from policies.trouble import cursor, read_cursor
from tests.pages import making
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(as_: As) -> Client:
    return as_("viewer")


def failing(count: int) -> None:
    now = timezone.now()
    for at in range(count):
        making.record(
            f"d{at:03}.example", last_use=now - timedelta(minutes=at), failures=5,
            failure_type="sts-webpki-invalid", failure_reason="certificate-expired",
        )  # fmt: skip


def names(page: str) -> list[str]:
    return [part.partition("<")[0] for part in page.split("<bdi>")[1:] if ".example" in part[:40]]


def test_says_what_will_happen_and_who_can_mend_it(viewer: Client) -> None:
    now = timezone.now()
    making.record("münchen.example", last_use=now)
    check = MXCheck(domain="münchen.example", due=now)
    check.found("mx", [MailHost(10, "elsewhere.example")], ["mx.example.org"], now)
    check.save()
    failing(1)
    page = viewer.get("/trouble/").content.decode()
    for words in (
        'href="/policies/xn--mnchen-3ya.example/#mail-hosts"',
        "All mail is deferred",
        "The domain&#x27;s owner, in its DNS zone",
        "Add elsewhere.example to the policy",
        'href="/policies/d000.example/"',
        "5 refreshes in a row have failed",
        '<code class="alabel">sts-webpki-invalid: certificate-expired</code>',
    ):
        assert words in page, words


def test_without_any_says_so(viewer: Client) -> None:
    assert b"No trouble ahead" in viewer.get("/trouble/").content


def test_one_kind_alone(viewer: Client) -> None:
    failing(2)
    assert len(names(viewer.get("/trouble/?kind=expires").content.decode())) == 2
    page = viewer.get("/trouble/?kind=mx").content.decode()
    assert "Nothing of this kind lies ahead" in page


def test_turns_pages(viewer: Client) -> None:
    failing(120)
    found, address = [], "/trouble/?kind=expires"
    for _page in range(3):
        page = viewer.get(address).content.decode()
        found += names(page)
        _, _, rest = page.partition('rel="next" href="')
        address = f"/trouble/{rest.partition(chr(34))[0].replace('&amp;', '&')}"
    assert found == [f"d{at:03}.example" for at in range(120)]
    assert address == "/trouble/"


def test_what_has_gone_meanwhile_does_not_leave_an_empty_page(viewer: Client) -> None:
    failing(1)
    behind = urlencode({"after": "WzAsMCwienp6IiwieiJd"})
    assert names(viewer.get(f"/trouble/?{behind}").content.decode()) == ["d000.example"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example("WzFlOTk5LC0xZTk5OSwiIiwiIl0")
@example("W251bGwsMSwiYSIsImIiXQ")
@example("W1tdLHt9LDEsMl0")
@given(st.text(max_size=60))
def test_takes_any_query(viewer: Client, text: str) -> None:
    query = urlencode(
        {"kind": text.encode("utf-8", "replace"), "after": text.encode("utf-8", "replace")}
    )
    assert viewer.get(f"/trouble/?{query}").status_code == 200


def test_a_place_survives_its_way_through_the_address() -> None:
    from policies import trouble

    failing(1)
    (entry,) = trouble.found(timezone.now()).entries
    assert read_cursor(cursor(entry)) == entry.rank
