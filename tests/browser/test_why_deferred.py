"""Mail to a domain waits in Postfix's queue: three clicks tell why, and who can mend it."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.product import Product
from tests.browser.test_operators_day import ENFORCE, publish
from tests.lab import answers


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
    expect(hosts).to_contain_text("What to do (the domain's operator)")
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
    expect(line).to_contain_text("The domain's operator")
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
    from tests.lab.certificate import Certificate

    product.lab[domain].certificate = Certificate.EXPIRED
    page, mouse = open_page("/"), Mouse()
    page.goto(f"/policies/?q={domain}")
    mouse.click(link(page, domain))
    mouse.click(page.get_by_role("button", name="Refetch"))
    expect(page.locator("#policy")).to_contain_text("certificate-expired", timeout=15_000)
    expect(page.locator("#policy")).to_contain_text("stays in force")
    assert mouse.clicks <= 3
