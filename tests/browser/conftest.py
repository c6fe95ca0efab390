"""A real Chromium before the real product: web server, worker and laboratory.

All tests share one product and its cache, so each keeps to domains of its own. Whatever a page
complains about in its console fails the test: a Content Security Policy that was violated, a
script that broke, a file that is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.needs import find_program, needs_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.browser.product import Product

USER, PASSWORD = "first", "a long and lonely road"
HERE = Path(__file__).parent

# Playwright keeps an event loop in this thread, where Django then refuses to use the database.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(needs_program("chromium", apt="chromium"))


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product, and its laboratory as `product.lab`."""
    for package in ("playwright", "axe_playwright_python", "trustme", "cryptography"):
        pytest.importorskip(package, reason="pip install -r requirements-dev.txt")
    from tests.browser.product import Product

    with Product(tmp_path_factory.mktemp("product")) as running:
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser; it never leaves this machine."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium"),
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def cookies(chromium: Browser, product: Product) -> dict[str, object]:
    """The first user's session, begun by the link that `start` printed."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(product.setup_link)
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password", exact=False).first.fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Make the login").click()
    page.get_by_role("heading", name="Nothing is cached yet").wait_for()
    state: dict[str, object] = dict(context.storage_state())
    context.close()
    return state


Open = Callable[..., "Page"]


@pytest.fixture
def complaints() -> list[str]:
    """What pages complained about. A test that expects some clears it; else it has to be empty."""
    return []


@pytest.fixture
def open_page(
    chromium: Browser, product: Product, cookies: dict[str, object], complaints: list[str]
) -> Iterator[Open]:
    """`open_page("/policies/")`: a window of its own, logged in; options are a context's."""
    contexts: list[BrowserContext] = []

    def open_(path: str, *, logged_in: bool = True, **options: object) -> Page:
        context = chromium.new_context(
            base_url=product.url,
            **({"storage_state": cookies} if logged_in else {}),  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]  # whatever the test wants of the window
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: _note(complaints, message.type, message.text))
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def _note(complaints: list[str], kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        complaints.append(f"{kind}: {text}")
