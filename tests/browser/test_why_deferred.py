"""Mail to a domain waits in Postfix's queue: three clicks tell why, and who can mend it."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.product import Product
from tests.browser.test_operators_day import ENFORCE, publish
from tests.lab import answers, mailhost
from tests.lab.certificate import Certificate


class Mouse:
    """Counts what it clicks on."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks += 1


def link(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def moved_away(product: Product, domain: str) -> None:
    """Its mail hosts are another provider's by now, and its policy is as of old."""
    publish(product, domain, text=ENFORCE)
    product.lab[domain].mx = answers.Records("10 in.elsewhere.example.")
    assert product.ask(domain) == [f"OK secure match=mx.{domain} servername=hostname"]


def test_by_the_name_of_the_domain(product: Product, open_page: Open) -> None:
    domain = "moved.example"
    moved_away(product, domain)
    page, mouse = open_page("/"), Mouse()
    search = page.get_by_role("searchbox")
    search.fill(domain)
    search.press("Enter")
    mouse.click(link(page, domain))
    # Nobody has looked at its mail hosts yet, unless the worker was quick.
    mouse.click(page.get_by_role("button", name="Refetch"))
    hosts = page.locator("section", has=page.get_by_role("heading", name="Mail hosts"))
    expect(hosts).to_contain_text("in.elsewhere.example", timeout=15_000)
    expect(hosts).to_contain_text("fits no pattern")
    expect(hosts).to_contain_text("What to do (the domain's owner")
    assert mouse.clicks <= 3


def test_by_what_the_pages_know_already(product: Product, open_page: Open) -> None:
    domain = "gone-elsewhere.example"
    moved_away(product, domain)
    page, mouse = open_page(f"/policies/{domain}/"), Mouse()
    page.get_by_role("button", name="Refetch").click()
    expect(page.locator("#policy")).to_contain_text("fits no pattern", timeout=15_000)
    page.goto("/")
    mouse.click(page.get_by_role("navigation", name="Main").get_by_role("link", name="Trouble"))
    line = page.locator("tr[data-row]").filter(has=link(page, domain))
    expect(line).to_contain_text("mail is deferred")
    expect(line).to_contain_text("What fits no pattern: in.elsewhere.example")
    expect(line).to_contain_text("The domain's owner")
    mouse.click(link(page, domain))
    expect(page.locator("#mail-hosts")).to_be_in_viewport()
    expect(page.locator("#policy")).to_contain_text("in.elsewhere.example")
    assert mouse.clicks <= 3


def test_a_certificate_that_is_refused_says_so_beside_the_policy(
    product: Product, open_page: Open
) -> None:
    domain = "untrusted.example"
    publish(product, domain)
    product.ask(domain)
    product.lab[domain].certificate = Certificate.EXPIRED
    page, mouse = open_page("/"), Mouse()
    page.goto(f"/policies/?q={domain}")
    mouse.click(link(page, domain))
    mouse.click(page.get_by_role("button", name="Refetch"))
    expect(page.locator("#policy")).to_contain_text("certificate-expired", timeout=15_000)
    expect(page.locator("#policy")).to_contain_text("stays in force")
    assert mouse.clicks <= 3


PROBE = """
from datetime import timedelta
from django.utils import timezone
from policies import mxcheck, probing
from policies.models import Probe
from policies.mtasts import parse_domain
mxcheck.renew(parse_domain({domain!r}))
probing.switch_on({domain!r}, None, timezone.now())
while not Probe.objects.filter(domain={domain!r}, probed_at__isnull=False).exists():
    probing.tick(timedelta(seconds=5))
"""
"""What the worker does in its next minutes."""


def probed(product: Product, domain: str, shown: Certificate | None) -> None:
    """Its one mail host fits, shows this certificate, or has no STARTTLS, and was probed."""
    publish(product, domain)
    host = f"mx.{domain}"
    product.lab[domain].mx = answers.Records(f"10 {host}.")
    product.lab.zone[host, "A"] = answers.Records("127.0.0.1")
    product.ask(domain)
    with mailhost.running(port=product.mail_port) as server:
        if shown:
            server.manners.context = product.lab.mail_certificate(shown, host)
        product.run(PROBE.format(domain=domain))


@pytest.mark.parametrize(
    ("domain", "shown", "reason"),
    [
        ("lapsed.example", Certificate.EXPIRED, "certificate-expired"),
        ("misnamed.example", Certificate.WRONG_NAME, "certificate-host-mismatch"),
        ("plain.example", None, "starttls-not-supported"),
    ],
)
def test_a_mail_host_that_does_not_verify_is_told_by_both_pages(
    product: Product, open_page: Open, domain: str, shown: Certificate | None, reason: str
) -> None:
    probed(product, domain, shown)
    page, mouse = open_page("/"), Mouse()
    mouse.click(page.get_by_role("navigation", name="Main").get_by_role("link", name="Trouble"))
    line = page.locator("tr[data-row]").filter(has=link(page, domain))
    expect(line).to_contain_text("mail is deferred")
    expect(line).to_contain_text("No mail host that fits the policy verifies")
    expect(line).to_contain_text(f"mx.{domain} ({reason}")
    expect(line).to_contain_text("Tell the domain's postmaster")
    mouse.click(link(page, domain))
    hosts = page.get_by_role("table", name=f"The mail hosts of {domain}")
    expect(hosts).to_be_in_viewport()
    expect(hosts).to_contain_text(f"mx.{domain}")
    expect(hosts).to_contain_text(reason)
    assert mouse.clicks <= 3
