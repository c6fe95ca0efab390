"""The mail hosts on a policy's page: which fit, which do not, and what is not known."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from policies.models import MXCheck
from policies.mtasts.mxfit import MailHost
from tests.pages import making
from tests.pages.conftest import As
from tests.worlds import ENFORCE

pytestmark = pytest.mark.django_db

DOMAIN = "example.org"


def section(as_: As) -> str:
    """The section of the mail hosts, as text."""
    page = as_("operator").get(f"/policies/{DOMAIN}/").content.decode()
    found = re.search(r'<section[^>]*"mail-hosts">(.*?)</section>', page, re.DOTALL)
    assert found
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[1])))


def found(*hosts: tuple[int, str], named: str = "mx", at: datetime | None = None) -> MXCheck:
    row = MXCheck(domain=DOMAIN, due=timezone.now() + timedelta(days=1))
    pairs = [MailHost(*host) for host in hosts]
    row.found(named, pairs, ["mx.example.org"], at or timezone.now())
    row.save()
    return row


def test_that_fit(as_: As) -> None:
    making.record(DOMAIN)
    found((10, "mx.example.org"))
    text = section(as_)
    assert "Mail hosts all fit" in text
    assert "10 mx.example.org fits mx.example.org" in text
    assert "What to do" not in text


def test_that_do_not(as_: As) -> None:
    making.record(DOMAIN)
    found((10, "in.elsewhere.example"))
    text = section(as_)
    for words in (
        "none fits",
        "All mail is deferred",
        "in.elsewhere.example fits no pattern",
        "No mail host fits mx.example.org",
        "What to do (the domain's owner, in its DNS zone)",
    ):
        assert words in text, (words, text)


def test_are_compared_with_the_policy_as_it_is_now(as_: As) -> None:
    """Not with the one that was cached when DNS was asked."""
    found((10, "mx.example.org"))
    making.record(DOMAIN, ENFORCE.replace("mx.example.org", "mx.example.net"))
    assert "none fits" in section(as_)


def test_that_are_the_domain_itself(as_: As) -> None:
    making.record(DOMAIN)
    found((0, DOMAIN), named="domain")
    assert "the domain itself: there is no MX record" in section(as_)


@pytest.mark.parametrize(
    ("named", "words"), [("null", "takes no mail"), ("absent", "no such domain")]
)
def test_that_are_none(as_: As, named: str, words: str) -> None:
    making.record(DOMAIN)
    found(named=named)
    assert words in section(as_)


def test_that_were_never_looked_at(as_: As) -> None:
    making.record(DOMAIN)
    assert "Not looked at yet" in section(as_)


def test_that_dns_has_never_named(as_: As) -> None:
    making.record(DOMAIN)
    row = MXCheck(domain=DOMAIN, due=timezone.now())
    row.missed("servfail", timezone.now())
    row.save()
    text = section(as_)
    assert "DNS gave no answer" in text
    assert "servfail" in text


def test_that_dns_does_not_name_now(as_: As) -> None:
    making.record(DOMAIN)
    row = found((10, "mx.example.org"), at=timezone.now() - timedelta(days=2))
    row.missed("timeout", timezone.now())
    row.save()
    text = section(as_)
    assert "all fit" in text
    assert "what was known is shown" in text


def test_that_do_not_matter(as_: As) -> None:
    making.backing_off(DOMAIN)
    assert "there is no policy that they would have to fit" in section(as_)
