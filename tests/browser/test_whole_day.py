"""The whole day of an operator in one walk, by keyboard alone, with web, worker and socketmap.

From the setup link of an empty product to the log-out: first login, the first domain, a check, the
list and its filters, a refetch of many whose progress is seen, an edit in the admin that Postfix
feels, the theme. Nothing is clicked: what the keyboard does not reach would end the walk.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PASSWORD
from tests.browser.product import Product
from tests.browser.test_operators_day import ENFORCE, TESTING, publish
from tests.lab import replies

SLOW = 60_000
"""Milliseconds: the machine may have other things to do."""

FLEET = tuple(f"{name}.fleet.example" for name in ("a", "b", "c", "d"))
MANY_TABS = 150


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """One of its own, as it is on the first morning."""
    with Product(tmp_path) as running:
        yield running


@pytest.fixture
def page(chromium: Browser, product: Product) -> Iterator[Page]:
    context = chromium.new_context(base_url=product.url, color_scheme="light")
    context.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    yield page
    expect.set_options(timeout=5_000)  # playwright's own
    context.close()
    assert [each for each in complaints if each.startswith(("error", "warning", "script"))] == []


def reach(page: Page, target: Locator) -> None:
    """Tab until it has the focus."""
    handle = target.element_handle()
    for _ in range(MANY_TABS):
        if page.evaluate("element => document.activeElement === element", handle):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {target}")


def press(page: Page, target: Locator) -> None:
    reach(page, target)
    page.keyboard.press("Enter")


def fill(page: Page, target: Locator, text: str) -> None:
    reach(page, target)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def go(page: Page, name: str) -> None:
    """By the main navigation."""
    press(page, page.get_by_role("navigation", name="Main").get_by_role("link", name=name))
    expect(page).to_have_title(re.compile(".* · mtastsweb"))


def replies_of(product: Product, domain: str, wanted: str) -> str:
    """What Postfix is told, once that begins so; else what it is told after a while."""
    for _ in range(100):
        (reply,) = product.ask(domain)
        if reply.startswith(wanted):
            break
        time.sleep(0.1)  # changes reach the socketmap twice a second
    return reply


def test_from_the_first_login_to_the_log_out(product: Product, page: Page) -> None:
    make_the_first_login(product, page)
    add_the_first_domain(product, page)
    check_a_domain(product, page)
    look_for_what_is_being_tested(product, page)
    refetch_the_fleet(product, page)
    edit_a_policy(product, page)
    choose_a_theme(page)
    change_the_password_and_log_out(page)


def make_the_first_login(product: Product, page: Page) -> None:
    page.goto(product.setup_link)
    fill(page, page.get_by_label("Username"), "anna")
    fill(page, page.get_by_label("Password", exact=False).first, PASSWORD)
    fill(page, page.get_by_label("Password confirmation"), PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing is cached yet")).to_be_visible()


def add_the_first_domain(product: Product, page: Page) -> None:
    publish(product, "first.example")
    fill(page, page.get_by_label("Domain").last, "First.Example")
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("The fetch of first.example is queued.")
    row = page.locator("tr[data-row]").filter(has_text="first.example")
    expect(row).to_contain_text("fetched")
    assert product.ask("first.example")[0].startswith("OK secure match=mx.first.example ")


def check_a_domain(product: Product, page: Page) -> None:
    publish(product, "checked.example", text=TESTING)
    go(page, "Check")
    fill(page, page.get_by_role("searchbox"), "checked.example")
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Replies to Postfix")
    expect(table).to_contain_text("NOTFOUND")
    expect(page.locator("main")).to_contain_text("It has no row in the cache.")


def look_for_what_is_being_tested(product: Product, page: Page) -> None:
    publish(product, *FLEET)
    publish(product, "trial.fleet.example", text=TESTING)
    product.ask(*FLEET, "trial.fleet.example")
    go(page, "Policies")
    page.keyboard.press("/")
    page.keyboard.type("fleet.example")
    reach(page, page.get_by_label("Mode"))
    page.keyboard.type("testing")
    press(page, page.get_by_role("button", name="Filter", exact=True))
    rows = page.locator("tr[data-row] th")
    expect(rows).to_have_text(["trial.fleet.example"])
    expect(page).to_have_url(re.compile(r"q=fleet\.example&mode=testing"))
    press(page, page.get_by_role("link", name="mode: testing"))
    expect(rows).to_have_count(len(FLEET) + 1)


def refetch_the_fleet(product: Product, page: Page) -> None:
    held = FLEET[1]
    product.lab[FLEET[0]].publish(ENFORCE.format("new.example"), id="2")
    product.lab[FLEET[2]].behaviour = replies.Serve(status=500)
    with product.lab.gate() as gate:
        product.lab[held].behaviour = replies.Held(gate)
        press(page, page.get_by_role("button", name="Refetch all 5 that match…"))
        expect(page.get_by_role("heading", name="Refetch 5 policies?")).to_be_visible()
        press(page, page.get_by_role("button", name="Refetch", exact=True))
        expect(page.locator(".messages")).to_contain_text("Refetch: 5 queued as job")
        go(page, "Fetches")
        job = page.locator(".job").filter(has_text="Refetch")
        expect(job).to_contain_text("running")
        gate.wait_for_arrivals(timeout=SLOW / 1000)
        # Four of five have ended, and the page follows by itself.
        expect(job).to_contain_text("4 of 5 done, 1 failed")
        expect(job.get_by_role("button", name="Stop")).to_be_visible()
    expect(job).to_contain_text("5 of 5 done, 1 failed")
    expect(job.get_by_role("button", name="Stop")).to_have_count(0)
    assert replies_of(product, FLEET[0], "OK secure match=mx.new.example ")


def edit_a_policy(product: Product, page: Page) -> None:
    domain = FLEET[3]
    before = f"OK secure match=mx.{domain} "
    assert replies_of(product, domain, before).startswith(before)
    go(page, "Policies")
    page.keyboard.press("/")
    page.keyboard.type(f"={domain}")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("o")
    press(page, page.get_by_role("link", name="Edit", exact=True))
    fill(page, page.get_by_label("Policy text"), ENFORCE.format("backup.example"))
    press(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
    after = "OK secure match=mx.backup.example "
    assert replies_of(product, domain, after).startswith(after)
    page.goto("/audit/")
    expect(page.locator("tr[data-row]").first).to_contain_text(domain)
    expect(page.locator("tr[data-row]").first).to_contain_text("anna")


def choose_a_theme(page: Page) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    reach(page, page.get_by_role("button", name="Theme"))
    for _ in range(3):
        if page.evaluate(colour) != light:
            break
        page.keyboard.press("Enter")
    dark = page.evaluate(colour)
    assert dark != light
    go(page, "Status")
    assert page.evaluate(colour) == dark


def change_the_password_and_log_out(page: Page) -> None:
    menu = page.locator("details.menu summary")
    press(page, menu)
    press(page, page.get_by_role("link", name="Change password"))
    fill(page, page.get_by_label("Old password"), PASSWORD)
    fill(page, page.get_by_label("New password", exact=True), "an even longer and lonelier road")
    fill(page, page.get_by_label("New password confirmation"), "an even longer and lonelier road")
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("Your password is changed.")
    press(page, menu)
    press(page, page.get_by_role("button", name="Log out"))
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
