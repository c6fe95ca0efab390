"""What an operator does, with the worker running: look, search, filter, refetch, edit."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import Page, expect

from tests.browser.conftest import USER, Open
from tests.browser.product import Product
from tests.lab import replies

ENFORCE = "version: STSv1\nmode: enforce\nmx: mx.{0}\nmax_age: 604800\n"
TESTING = ENFORCE.replace("enforce", "testing")


def publish(product: Product, *domains: str, text: str = ENFORCE) -> None:
    for domain in domains:
        product.lab.domain(domain, text.format(domain))


def row(page: Page, domain: str) -> object:
    return page.locator("tr[data-row]").filter(has=page.get_by_role("link", name=domain))


def test_the_link_that_start_prints_makes_the_first_login_once(
    product: Product, open_page: Open, complaints: list[str]
) -> None:
    page = open_page("/policies/")
    expect(page.locator(".who")).to_have_text(USER)
    again = open_page(product.setup_link, logged_in=False)
    expect(again.get_by_role("heading")).to_have_text("This link does not work")
    assert [each for each in complaints if "410" in each] == complaints
    complaints.clear()
    assert product.setup_link.rpartition("/setup/")[2].strip("/") not in product.log


def test_the_list_is_in_order_and_is_searched_and_filtered(
    product: Product, open_page: Open
) -> None:
    publish(product, "first.order.example", "third.order.example")
    publish(product, "second.order.example", text=TESTING)
    product.manage(
        "mtasts", "get", "third.order.example", "second.order.example", "first.order.example"
    )
    page = open_page("/policies/")
    page.get_by_label("Domain", exact=True).fill("order.example")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.locator("tr[data-row] th")).to_have_text(
        ["first.order.example", "second.order.example", "third.order.example"]
    )
    page.get_by_label("Mode").select_option("testing")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.locator("tr[data-row] th")).to_have_text(["second.order.example"])
    expect(page).to_have_url(re.compile(r"\?q=order\.example&mode=testing"))
    page.get_by_role("link", name="mode: testing").click()
    page.get_by_role("columnheader", name="Domain").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Domain")).to_have_attribute(
        "aria-sort", "ascending"
    )
    expect(page.locator("tr[data-row] th")).to_have_text(
        ["first.order.example", "second.order.example", "third.order.example"]
    )
    page.get_by_role("columnheader", name="Domain").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Domain")).to_have_attribute(
        "aria-sort", "descending"
    )
    expect(page.locator("tr[data-row] th")).to_have_text(
        ["third.order.example", "second.order.example", "first.order.example"]
    )
    page.get_by_role("columnheader", name="Mode").get_by_role("link").click()
    expect(page.locator("tr[data-row] th")).to_have_text(
        ["first.order.example", "third.order.example", "second.order.example"]
    )
    page.get_by_label("Domain", exact=True).fill("=nobody.order.example")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No policy matches")).to_be_visible()


def test_a_refetch_is_seen_to_be_queued_to_run_and_to_end(
    product: Product, open_page: Open
) -> None:
    publish(product, "live.example")
    product.ask("live.example")
    page = open_page("/policies/?q=%3Dlive.example")
    with product.lab.gate() as gate:
        product.lab["live.example"].behaviour = replies.Held(gate)
        live = row(page, "live.example")
        live.get_by_role("button", name="Refetch live.example").click()
        expect(live).to_contain_text("queued")
        gate.wait_for_arrivals(timeout=30)
        expect(live).to_contain_text("running")
        expect(page.locator("#live")).to_have_text("The refetch of live.example is queued.")
    expect(live).to_contain_text("fetched")
    expect(live.get_by_role("button", name="Refetch live.example")).to_be_enabled()
    expect(page).to_have_url(re.compile(r"/policies/\?q="))


def test_a_new_policy_is_seen_after_the_refetch(product: Product, open_page: Open) -> None:
    publish(product, "renewed.example")
    product.ask("renewed.example")
    page = open_page("/policies/renewed.example/")
    product.lab["renewed.example"].publish(TESTING.format("renewed.example"), id="2")
    page.get_by_role("button", name="Refetch", exact=True).click()
    expect(page.locator(".code").first).to_contain_text("mode: testing")
    expect(page.locator("main")).to_contain_text("changed")


def test_ticked_rows_are_refetched_together(product: Product, open_page: Open) -> None:
    publish(product, "one.ticked.example", "two.ticked.example", "three.ticked.example")
    product.ask("one.ticked.example", "two.ticked.example", "three.ticked.example")
    page = open_page("/policies/?q=ticked.example")
    for domain in ("one.ticked.example", "three.ticked.example"):
        page.get_by_role("checkbox", name=f"Select {domain}").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    ask = page.get_by_role("button", name="Refetch selected…")
    ask.click()
    dialog = page.get_by_role("dialog", name="Refetch 2 policies?")
    expect(dialog).to_contain_text("A policy whose fetch fails stays as it is")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    ask.click()
    dialog.get_by_role("button", name="Refetch").click()
    expect(page.locator("#said")).to_have_text("Refetch: 2 queued.")
    for domain in ("one.ticked.example", "three.ticked.example"):
        expect(row(page, domain)).to_contain_text("fetched")
    expect(row(page, "two.ticked.example")).not_to_contain_text("fetched")


def test_one_ticked_row_is_refetched_without_a_question(product: Product, open_page: Open) -> None:
    publish(product, "alone.ticked2.example", "other.ticked2.example")
    product.ask("alone.ticked2.example", "other.ticked2.example")
    page = open_page("/policies/?q=ticked2.example")
    page.get_by_role("checkbox", name="Select alone.ticked2.example").check()
    page.get_by_role("button", name="Refetch selected…").click()
    expect(page.locator("#said")).to_have_text("Refetch: 1 queued.")
    expect(row(page, "alone.ticked2.example")).to_contain_text("fetched")


def test_all_that_match_are_refetched_before_one_s_eyes(product: Product, open_page: Open) -> None:
    names = [f"{name}.seen.example" for name in ("a", "b", "c")]
    publish(product, *names)
    product.ask(*names)
    page = open_page("/policies/?q=.seen.example&sort=domain")
    with product.lab.gate() as gate:
        product.lab[names[1]].behaviour = replies.Held(gate)
        page.get_by_role("button", name="Refetch all 3 that match…").click()
        page.get_by_role("button", name="Refetch", exact=True).click()
        expect(page.locator(".messages")).to_contain_text("Refetch: 3 queued as job")
        gate.wait_for_arrivals(timeout=30)
        expect(row(page, names[0])).to_contain_text("fetched", timeout=15_000)
        expect(row(page, names[1])).to_contain_text("running", timeout=15_000)
    expect(row(page, names[1])).to_contain_text("fetched", timeout=15_000)
    expect(page.locator("tr[data-row] th")).to_have_text(names)
    page.goto("/fetches/?domain=a.seen.example")
    expect(page.locator("tr[data-row]").first).to_contain_text(f"operator {USER}")


def test_a_question_that_was_answered_is_not_answered_again_by_going_back(
    product: Product, open_page: Open
) -> None:
    publish(product, "a.back.example", "b.back.example", "late.back.example")
    product.ask("a.back.example", "b.back.example")
    page = open_page("/policies/?q=.back.example")
    page.get_by_role("button", name="Delete all 2 that match…").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".messages")).to_contain_text("Forgotten: 2 policies.")
    product.ask("late.back.example")
    page.go_back()
    page.get_by_role("button", name="Delete", exact=True).click()
    # A browser that kept the page sends the answer again; one that asks anew is told of the new.
    expect(page.locator("main")).to_contain_text("answered this question already")
    expect(page.locator("tr[data-row] th")).to_have_text(["late.back.example"])


def test_all_rows_of_the_page_are_ticked_at_once(product: Product, open_page: Open) -> None:
    publish(product, "a.all.example", "b.all.example")
    product.ask("a.all.example", "b.all.example")
    page = open_page("/policies/?q=.all.example")
    page.get_by_role("checkbox", name="Select all rows of this page").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("checkbox", name="Select a.all.example").uncheck()
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_a_failed_refetch_says_what_failed_and_leaves_the_policy(
    product: Product, open_page: Open
) -> None:
    publish(product, "failing.example")
    product.ask("failing.example")
    product.lab["failing.example"].behaviour = replies.Serve(status=503)
    page = open_page("/policies/failing.example/")
    page.get_by_role("button", name="Refetch", exact=True).click()
    fetches = page.get_by_role("table", name="Fetches of failing.example")
    expect(fetches).to_contain_text("failed")
    expect(fetches).to_contain_text("503")
    expect(page.locator(".code").first).to_contain_text("mode: enforce")


def test_an_edit_that_does_not_parse_is_refused_with_its_line_and_another_holds(
    product: Product, open_page: Open
) -> None:
    publish(product, "edited.example")
    product.ask("edited.example")
    page = open_page("/policies/edited.example/")
    page.get_by_role("link", name="Edit", exact=True).click()
    text = page.get_by_label("Policy text")
    text.fill(ENFORCE.format("edited.example").replace("mx:", "mx"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".errorlist")).to_contain_text("This is no policy. Line 3:")
    text.fill(TESTING.format("backup.example"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
    product.lab["edited.example"].policy = ENFORCE.format("other.example")
    product.run(
        "from policies.models import PolicyRecord as P;"
        "P.objects.filter(domain='edited.example').update(refresh_due=None)"
    )
    product.manage("mtasts", "refresh")
    page.goto("/policies/edited.example/")
    expect(page.locator(".code").first).to_contain_text("mx: mx.backup.example")
    expect(page.locator("main")).to_contain_text("The published text is another one now.")
    page.get_by_role("button", name="Refetch", exact=True).click()
    expect(page.locator(".code").first).to_contain_text("mx: mx.other.example")
    expect(page.locator("main")).not_to_contain_text("An operator wrote this text")


def test_a_deletion_asks_first(product: Product, open_page: Open) -> None:
    publish(product, "forgotten.example")
    product.ask("forgotten.example")
    page = open_page("/policies/forgotten.example/")
    page.get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog", name="Delete the policy of forgotten.example?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Delete…").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".messages")).to_contain_text("forgotten.example is forgotten")
    page.goto("/policies/?q=%3Dforgotten.example")
    expect(page.locator("tr[data-row]")).to_have_count(0)


def test_a_session_that_ends_in_mid_work_leads_to_the_login_and_back(
    product: Product, open_page: Open
) -> None:
    publish(product, "session.example")
    product.ask("session.example")
    page = open_page("/policies/?q=session.example")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Refetch session.example").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.locator("main")).to_contain_text("nothing was done")
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill("a long and lonely road")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/policies/\?q=session\.example"))
