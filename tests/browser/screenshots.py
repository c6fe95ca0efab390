"""`python -m tests.browser.screenshots [DIRECTORY]`: pictures of the pages.

Without a directory it makes those of the documentation, docs/images; with one it puts every page
there, in light, dark and narrow, to be looked at. The product runs for it, against the
demonstration's domains.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.product import Product
from tests.demo import domains
from tests.needs import find_program

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDE, SHORT, NARROW = (1280, 800), (1280, 640), (360, 740)
USER, PASSWORD = "anna", "a long and lonely road"


@dataclass(frozen=True)
class Shot:
    """A picture: its file's name, the page's address, and how it is looked at.

    Some pages are reached by other pages: "edit", "check" and "alert".
    """

    name: str
    path: str
    scheme: str = "light"
    size: tuple[int, int] = WIDE
    full: bool = False


LIST = "/policies/"
DOCUMENTED = [
    Shot("list-light", LIST, size=SHORT),
    Shot("list-dark", LIST, "dark", size=SHORT),
    Shot("policy", "/policies/typo.example/"),
    Shot("check", "check", "dark"),
    Shot("edit", "edit"),
    Shot("alert", "alert"),
    Shot("trouble", "/trouble/", size=SHORT),
    Shot("exceptions", "/exceptions/", "dark", size=SHORT),
    Shot("narrow", LIST, size=NARROW),
]
PAGES = {
    "list": LIST,
    "list-filtered": "/policies/?q=example&mode=enforce&sort=domain",
    "list-empty": "/policies/?q=nothing",
    "policy-good": "/policies/university.example/",
    "policy-typo": "/policies/typo.example/",
    "policy-edited": "/policies/bank.example/",
    "policy-idn": "/policies/xn--mnchen-3ya.example/",
    "policy-host-down": "/policies/host-down.example/",
    "policy-hostile": "/policies/hostile.example/",
    "policy-long": "/policies/"
    "very-long-name-of-an-organisation-that-has-thought-about-it.departments.example/",
    "delete": "/policies/bank.example/delete/",
    "policy-weakened": "/policies/weakened.example/",
    "alerts": "/alerts/",
    "alerts-none": "/alerts/?show=closed",
    "alert": "alert",
    "exceptions": "/exceptions/",
    "exceptions-ended": "/exceptions/?state=ended",
    "exceptions-none": "/exceptions/?q=nothing",
    "pause": "/exceptions/pause/",
    "exception-add": "/exceptions/add/",
    "exception-import": "/exceptions/import/",
    "outcomes": "/outcomes/",
    "fetches": "/fetches/",
    "check": "/check/",
    "check-result": "check",
    "policy-moved": "/policies/moved-provider.example/",
    "trouble": "/trouble/",
    "trouble-none": "/trouble/?kind=testing",
    "status": "/status/",
    "log": "/audit/",
    "glossary": "/glossary/",
    "password": "/accounts/password/",
    "admin": "/admin/",
    "admin-list": "/admin/policies/policyrecord/",
    "admin-change": "edit",
    "admin-add": "/admin/policies/policyrecord/add/",
    "admin-token": "/admin/policies/apitoken/add/",
    "admin-fetches": "/admin/policies/fetch/",
    "admin-schedule": "/admin/django_q/schedule/",
    "404": "/nowhere",
}
OPEN = {"login": "/accounts/login/", "setup-closed": "/setup/x/"}


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with (
        tempfile.TemporaryDirectory() as data_dir,
        Product(Path(data_dir)) as product,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium"), args=["--no-sandbox"]
        )
        (directory or IMAGES).mkdir(parents=True, exist_ok=True)
        session = log_in(browser, product, directory)
        populate(product)
        for shot in every_page() if directory else DOCUMENTED:
            take(browser, product, shot, session, directory or IMAGES)
        if directory:
            for name, path in OPEN.items():
                for shot in in_every_way(name, path):
                    take(browser, product, shot, None, directory)
        browser.close()


def every_page() -> list[Shot]:
    return [shot for name, path in PAGES.items() for shot in in_every_way(name, path)]


def in_every_way(name: str, path: str) -> list[Shot]:
    return [
        Shot(f"{name}-light", path, full=True),
        Shot(f"{name}-dark", path, "dark", full=True),
        Shot(f"{name}-narrow", path, size=NARROW, full=True),
    ]


def log_in(browser: Browser, product: Product, directory: Path | None) -> object:
    """By the setup link; the session's cookies."""
    if directory:
        for shot in in_every_way("setup", product.setup_link.removeprefix(product.url)):
            take(browser, product, shot, None, directory)
    context = browser.new_context()
    page = context.new_page()
    page.goto(product.setup_link)
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password", exact=False).first.fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Make the login").click()
    page.get_by_role("heading", name="Nothing is cached yet").wait_for()
    if directory:
        page.screenshot(path=directory / "first-page.png", full_page=True)
    return context.storage_state()


def populate(product: Product) -> None:
    """The demonstration's domains, as after some days."""
    domains.publish(product.lab)
    product.python("-m", "tests.browser.past", "before")
    for demo in domains.DOMAINS:
        if demo.then is not None:
            demo.then(product.lab[demo.name])
    product.python("-m", "tests.browser.past", "after")


def take(browser: Browser, product: Product, shot: Shot, session: object, directory: Path) -> None:
    width, height = shot.size
    context: BrowserContext = browser.new_context(
        base_url=product.url,
        viewport={"width": width, "height": height},
        color_scheme=shot.scheme,  # type: ignore[arg-type]  # "light" or "dark"
        **({"storage_state": session} if session else {}),  # type: ignore[arg-type]
    )
    page = context.new_page()
    if shot.path == "edit":
        page.goto("/admin/policies/policyrecord/?q=%3Dexample.org")
        page.get_by_role("link", name="example.org", exact=True).click()
    elif shot.path == "check":
        page.goto("/check/")
        page.get_by_role("searchbox").fill("certificate-lapsed.example")
        page.get_by_role("button", name="Check", exact=True).click()
        page.get_by_role("region", name="Replies to Postfix").wait_for()
    elif shot.path == "alert":
        page.goto("/alerts/?domain=record-gone.example")
        page.locator("tbody a").first.click()
        page.get_by_role("heading", name="What it means").wait_for()
    else:
        page.goto(shot.path)
    page.screenshot(path=directory / f"{shot.name}.png", full_page=shot.full)
    context.close()


if __name__ == "__main__":
    main()
