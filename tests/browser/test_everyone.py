"""The pages are for everyone: by keyboard, without scripts, on a phone, in light and dark."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.product import Product
from tests.browser.test_operators_day import publish, row
from tests.lab import replies

KEYS = ("a.keys.example", "b.keys.example", "c.keys.example")


@pytest.fixture(scope="module")
def listed(product: Product) -> str:
    """The address of a list with three rows, in the order of their names."""
    publish(product, *KEYS)
    product.ask(*KEYS)
    return "/policies/?q=keys.example&sort=domain"


def focused(page: Page) -> str:
    """The domain of the row that has the focus."""
    return str(page.evaluate("document.activeElement.querySelector('[data-open]')?.textContent"))


def test_rows_are_walked_ticked_refetched_and_opened_by_single_keys(
    listed: str, open_page: Open
) -> None:
    page = open_page(listed)
    page.keyboard.press("j")
    assert focused(page) == KEYS[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert focused(page) == KEYS[2]
    page.keyboard.press("k")
    assert focused(page) == KEYS[1]
    page.keyboard.press("x")
    expect(page.get_by_role("checkbox", name=f"Select {KEYS[1]}")).to_be_checked()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("r")
    expect(row(page, KEYS[1])).to_contain_text(re.compile("queued|running"))
    expect(row(page, KEYS[1])).to_contain_text("fetched")
    assert focused(page) == KEYS[1]
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile(f"/policies/{KEYS[1]}/"))


def test_search_and_help_are_a_key_away_and_typing_is_typing(listed: str, open_page: Open) -> None:
    page = open_page(listed)
    page.keyboard.press("/")
    search = page.get_by_label("Domain", exact=True)
    expect(search).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.type("jkx?/")
    expect(search).to_have_value("keys.examplejkx?/")
    page.keyboard.press("Tab")
    page.get_by_role("heading", name="Cached policies").click()
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keyboard")
    expect(help_).to_be_visible()
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()


def test_single_keys_can_be_switched_off(listed: str, open_page: Open) -> None:
    page = open_page(listed)
    page.get_by_role("link", name="Help: keys and words").click()
    page.get_by_label("Single keys act").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("/")
    expect(page.get_by_label("Domain", exact=True)).not_to_be_focused()


def test_the_keyboard_alone_reaches_everything_and_the_focus_is_seen(
    listed: str, open_page: Open
) -> None:
    page = open_page(listed)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate("""() => { const one = document.activeElement;
            return [one === document.body ? "" : one.id || one.textContent.trim(),
                    getComputedStyle(one).outlineStyle]; }""")
        assert outline != "none" or not name, name
        reached.add(name)
    assert {"q", "mode", "state", "Filter", "Refetch selected…", *KEYS} <= reached


def test_without_scripts_a_refetch_works_and_the_page_follows_it(
    product: Product, open_page: Open
) -> None:
    publish(product, "plain.example")
    product.ask("plain.example")
    page = open_page("/policies/?q=plain.example", java_script_enabled=False)
    expect(page.get_by_role("button", name="Theme")).to_be_hidden()
    with product.lab.gate() as gate:
        product.lab["plain.example"].behaviour = replies.Held(gate)
        page.get_by_role("button", name="Refetch plain.example").click()
        expect(page.locator(".messages")).to_contain_text("The refetch of plain.example is queued.")
        expect(page).to_have_url(re.compile(r"\?q=plain\.example"))
        gate.wait_for_arrivals(timeout=30)
        page.reload()
        expect(row(page, "plain.example")).to_contain_text("running")
    expect(row(page, "plain.example")).to_contain_text("fetched", timeout=20_000)  # it reloads


def test_without_scripts_rows_are_ticked_refetched_filtered_and_deleted(
    product: Product, open_page: Open
) -> None:
    publish(product, "a.plain2.example", "b.plain2.example")
    product.ask("a.plain2.example", "b.plain2.example")
    page = open_page("/policies/", java_script_enabled=False)
    page.get_by_label("Domain", exact=True).fill("plain2.example")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_role("checkbox", name="Select a.plain2.example").check()
    page.get_by_role("button", name="Refetch selected").click()
    expect(page.locator(".messages")).to_contain_text("Refetch: 1 queued.")
    page.get_by_role("link", name="a.plain2.example").click()
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("heading", name="Delete")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".messages")).to_contain_text("a.plain2.example is forgotten")


LONG = "a-very-long-name-that-leaves-no-room-for-anything-beside-it.narrow.example"
NARROW = {"width": 360, "height": 740}


@pytest.mark.parametrize(
    "path",
    [
        "/policies/?q=keys.example", "/policies/a.keys.example/",
        "/policies/a.keys.example/delete/", "/outcomes/", "/fetches/", "/check/", "/status/",
        "/audit/", "/glossary/", "/accounts/password/", "/admin/", "/jobs/", "/exceptions/",
        "/exceptions/add/", "/exceptions/import/", "/exceptions/pause/", "/alerts/", "/trouble/",
    ],
)  # fmt: skip
def test_at_360_pixels_nothing_is_off_to_the_side(path: str, listed: str, open_page: Open) -> None:
    page = open_page(path, viewport=NARROW)
    assert sideways(page) == 0


@pytest.mark.parametrize("path", ["/accounts/login/", "/setup/x/", "/nowhere"])
def test_at_360_pixels_neither_is_anything_without_login(
    path: str, open_page: Open, complaints: list[str]
) -> None:
    page = open_page(path, logged_in=False, viewport=NARROW)
    assert sideways(page) == 0
    complaints.clear()  # a status that is no 200


def test_at_360_pixels_neither_is_the_result_of_a_check_nor_an_alert_nor_an_exception(
    product: Product, listed: str, open_page: Open
) -> None:
    alert = product.run(
        "from datetime import timedelta as d; from django.utils import timezone as t;"
        "from policies.models import Alert as A, PolicyException as E;"
        f"E.objects.create(scope='domain', target='{LONG}', action='skip', reason='r' * 400,"
        " owner='o' * 60, until=t.now() + d(days=9));"
        f"print(A.objects.create(domain='{LONG}', kind='record-gone', severity='warning',"
        " state='suspected', opened_at=t.now(), last_seen=t.now(), before_text='x' * 400,"
        " note='n' * 400, acknowledged_at=t.now(),"
        " evidence={'dns': {'txt': ['v' * 400], 'error': ''}}).pk)"
    ).strip()
    page = open_page(f"/alerts/{alert}/", viewport=NARROW)
    assert sideways(page) == 0
    for path in ("/alerts/", "/exceptions/", "/audit/"):
        page.goto(path)
        assert sideways(page) == 0, path
    page.goto("/check/")
    page.get_by_role("searchbox").fill(KEYS[0])
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("region", name="Replies to Postfix").wait_for()
    assert sideways(page) == 0


@pytest.mark.parametrize("path", ["/policies/?q=keys.example", "/policies/a.keys.example/"])
def test_on_paper_one_reads_what_there_is_and_sees_nothing_to_press(
    path: str, listed: str, open_page: Open
) -> None:
    page = open_page(path, color_scheme="dark", viewport={"width": 794, "height": 1123})
    page.emulate_media(media="print")
    for hidden in (
        "nav",
        "button",
        ".filters",
        ".hint",
        ".tiles",
        ".actions",
        "input[type=checkbox]",
    ):
        for each in page.locator(hidden).all():
            expect(each).to_be_hidden()
    expect(page.get_by_text(KEYS[0]).first).to_be_visible()
    expect(page.locator("main .badge", has_text="enforce").first).to_be_visible()
    ink, paper = page.evaluate(
        "() => [getComputedStyle(document.querySelector('main')).color,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    assert ink == "rgb(26, 33, 48)"
    assert paper in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    assert sideways(page) == 0
    # Nothing is left in a part that would have to be scrolled.
    cut = page.eval_on_selector_all(
        "main .table, main .code",
        "all => all.filter(one => one.scrollHeight > one.clientHeight + 1).length",
    )
    assert cut == 0


def sideways(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_at_1280_pixels_the_columns_that_matter_are_in_sight(listed: str, open_page: Open) -> None:
    page = open_page(listed, viewport={"width": 1280, "height": 800})
    right = page.locator(".table").bounding_box()
    assert right is not None
    for name in ("Domain", "Last use", "Mode", "TLSRPT outcome", "Fetch", "Backoff", "MX",
                 "Valid until"):  # fmt: skip
        box = page.get_by_role("columnheader", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= right["x"] + right["width"] + 1, name


def test_one_theme_is_chosen_for_pages_and_admin(listed: str, open_page: Open) -> None:
    page = open_page(listed, color_scheme="light")
    light = background(page)
    switch = page.get_by_role("button", name="Theme")
    while background(page) == light:
        switch.click()
    dark = background(page)
    page.goto("/admin/")
    assert background(page) == dark
    page.goto("/policies/")
    assert background(page) == dark


def test_the_theme_follows_the_system_until_one_is_chosen(listed: str, open_page: Open) -> None:
    assert background(open_page(listed, color_scheme="light")) != background(
        open_page(listed, color_scheme="dark")
    )


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_a_page_of_fifty_rows_is_small_and_asks_nobody_else(
    product: Product, listed: str, open_page: Open
) -> None:
    product.run(
        "from policies.models import PolicyRecord as P\n"
        "row = P.objects.get(domain='a.keys.example')\n"
        "fields = {f.attname: getattr(row, f.attname) for f in P._meta.concrete_fields\n"
        "          if f.attname not in ('id', 'domain', 'last_use_key')}\n"
        "P.objects.bulk_create(P(domain=f'{n}.many.example', **fields) for n in range(60))"
    )
    page = open_page("about:blank")
    sizes: dict[str, int] = {}
    page.on(
        "requestfinished",
        lambda request: sizes.update({request.url: request.sizes()["responseBodySize"]}),
    )
    page.goto(f"{product.url}/policies/?q=many.example", wait_until="networkidle")
    expect(page.locator("tr[data-row]")).to_have_count(50)
    assert all(url.startswith(product.url) for url in sizes)
    assert sum(sizes.values()) <= 60_000, sizes


def test_the_focus_stays_in_a_row_that_is_replaced(listed: str, open_page: Open) -> None:
    page = open_page(listed)
    button = page.get_by_role("button", name=f"Refetch {KEYS[2]}")
    button.focus()
    page.keyboard.press("Enter")
    expect(row(page, KEYS[2])).to_contain_text(re.compile("queued|running"))
    expect(row(page, KEYS[2])).to_be_focused()
    page.keyboard.press("k")
    assert focused(page) == KEYS[1]
