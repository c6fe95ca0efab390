"""An operator makes an exception, sees it everywhere, and ends it; so does the pause."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")
pytest.importorskip("axe_playwright_python", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.product import Product
from tests.browser.test_accessibility import in_light_and_dark
from tests.browser.test_operators_day import publish

REASON = "their certificate is expired, ticket 42"


def test_an_exception_is_made_from_a_policys_page_and_ended(
    product: Product, open_page: Open
) -> None:
    publish(product, "except.example")
    product.ask("except.example")
    page = open_page("/policies/except.example/", bypass_csp=True)
    page.get_by_role("link", name="Make an exception", exact=True).click()
    expect(page.get_by_label("About")).to_have_value("except.example")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_be_attached()
    expect(page.locator("tr[data-row]").filter(has_text=REASON)).to_contain_text("skip")
    assert in_light_and_dark(page) == []
    page.goto("/policies/?q=except.example")
    expect(page.get_by_text("exception: skip")).to_be_visible()
    page.goto("/policies/except.example/")
    expect(page.get_by_text("does not reach Postfix")).to_be_visible()
    page.get_by_text("What Postfix gets").click()
    expect(page.get_by_text("NOTFOUND").first).to_be_visible()
    assert in_light_and_dark(page) == []
    page.goto("/exceptions/")
    page.get_by_role("link", name="End the exception for except.example").click()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text(re.compile("Ended: skip except.example"))).to_be_visible()
    page.goto("/policies/except.example/")
    expect(page.get_by_text("exception: skip")).to_have_count(0)


def test_what_is_wrong_is_told_beside_its_field(product: Product, open_page: Open) -> None:
    page = open_page("/exceptions/add/", bypass_csp=True)
    page.get_by_label("About").fill("no name")
    page.get_by_label("Postfix gets").select_option("require")
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a level")
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    assert in_light_and_dark(page) == []


def test_a_table_is_shown_before_it_is_imported(product: Product, open_page: Open) -> None:
    page = open_page("/exceptions/import/", bypass_csp=True)
    page.get_by_label("or its text").fill("import-a.example may\nimport-b.example dane-only\n")
    page.get_by_role("button", name="Show what it comes to").click()
    expect(page.get_by_text("1 entry can be exceptions, 1 cannot")).to_be_visible()
    assert in_light_and_dark(page) == []
    page.get_by_role("button", name="Import 1, leave out 1").click()
    expect(page.get_by_text("1 exceptions imported")).to_be_visible()
    expect(page.locator("tr[data-row]").filter(has_text="import-a.example")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 360])
def test_a_pause_is_seen_everywhere_until_it_is_ended(
    width: int, product: Product, open_page: Open
) -> None:
    page = open_page(
        "/exceptions/pause/", bypass_csp=True, viewport={"width": width, "height": 800}
    )
    page.get_by_label("Reason").fill("our roots are lost")
    page.get_by_role("button", name="Pause").click()
    try:
        for path in ("/policies/", "/admin/", "/exceptions/"):
            page.goto(path)
            expect(page.get_by_text("Enforcement is paused.")).to_be_visible()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert path == "/admin/" or wide <= width
        assert in_light_and_dark(page) == []
        page.get_by_role("link", name="End the exception for everything").click()
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("Enforcement is paused.")).to_have_count(0)
    finally:
        product.run(
            "from policies.models import PolicyException as E; from django.utils import timezone;"
            "E.objects.filter(scope='everything').update(ended=timezone.now())"
        )
