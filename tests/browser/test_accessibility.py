"""axe-core finds nothing to mend, on any page, in light and dark (WCAG 2.2 AA)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")
pytest.importorskip("axe_playwright_python", reason="pip install -r requirements-dev.txt")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import PASSWORD, Open
from tests.browser.product import Product
from tests.browser.test_operators_day import publish
from tests.lab import replies

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
    "preload": False,  # it looks for a stylesheet's imports beside the page
}

OURS = [
    "/policies/", "/policies/?q=axe.example&mode=enforce", "/policies/?q=nothing-like-it",
    "/policies/good.axe.example/", "/policies/backing-off.axe.example/",
    "/policies/xn--mnchen-3ya.axe.example/", "/policies/good.axe.example/delete/",
    "/outcomes/", "/fetches/", "/check/", "/status/", "/audit/", "/glossary/", "/exceptions/",
    "/exceptions/add/", "/exceptions/import/", "/exceptions/pause/", "/exceptions/?q=nothing",
    "/trouble/", "/trouble/?kind=certificate", "/alerts/", "/alerts/?domain=nothing.example",
    "/accounts/password/", "/jobs/", "/exceptions/{exception}/", "/exceptions/{exception}/end/",
]  # fmt: skip
OPEN = ["/accounts/login/", "/setup/x/", "/nowhere"]
ADMIN = [
    "/admin/django_q/schedule/1/change/", "/admin/auth/user/1/change/",
    "/admin/", "/admin/policies/policyrecord/", "/admin/policies/policyrecord/{pk}/change/",
    "/admin/policies/policyrecord/{pk}/history/", "/admin/policies/policyrecord/{pk}/delete/",
    "/admin/policies/policyrecord/add/", "/admin/policies/fetch/", "/admin/policies/apitoken/",
    "/admin/policies/apitoken/add/", "/admin/policies/policyexception/",
    "/admin/policies/policyexception/{exception}/change/", "/admin/auth/user/",
    "/admin/auth/user/add/", "/admin/auth/group/", "/admin/django_q/schedule/",
    "/admin/django_q/success/", "/admin/django_q/failure/", "/admin/django_q/ormq/",
    "/admin/django_q/schedule/add/", "/admin/django_q/schedule/1/history/",
    "/admin/auth/user/1/password/", "/admin/auth/user/1/delete/", "/admin/auth/user/1/history/",
    "/admin/auth/group/add/", "/admin/auth/group/1/change/", "/admin/axes/accessattempt/",
    "/admin/axes/accesslog/", "/admin/axes/accessfailurelog/",
    "/admin/policies/policyrecord/?q=axe", "/admin/policies/fetch/?q=nothing-like-it",
    "/admin/auth/", "/admin/policies/", "/admin/policies/policyrecord/?_facets=True",
    "/admin/policies/policyrecord/?q=axe&_facets=True", "/admin/policies/fetch/1/change/",
    "/admin/policies/fetch/1/history/", "/admin/policies/policyexception/add/",
    "/admin/policies/policyexception/{exception}/delete/",
    "/admin/policies/policyexception/{exception}/history/", "/admin/auth/group/1/delete/",
    "/admin/auth/group/1/history/", "/admin/auth/group/add/?_popup=1",
    "/admin/django_q/schedule/1/delete/",
]  # fmt: skip


@pytest.fixture(scope="module")
def pk(product: Product) -> str:
    """The key of a row that holds a policy; other rows are in other states."""
    names = ["good.axe.example", "backing-off.axe.example", "xn--mnchen-3ya.axe.example"]
    publish(product, *names)
    product.lab[names[1]].behaviour = replies.Serve(status=500)
    product.ask(*names)
    return product.run(
        "from policies import mxcheck, world;"
        "from policies.models import PolicyRecord as P;"
        "mxcheck.run(outside=world.default());"
        "print(P.objects.get(domain='good.axe.example').pk)"
    ).strip()


@pytest.fixture(scope="module")
def exception(product: Product) -> str:
    """The key of an exception that counts."""
    return product.run(
        "from datetime import timedelta as d; from django.utils import timezone as t;"
        "from policies.models import PolicyException as E;"
        "print(E.objects.create(scope='domain', target='excepted.axe.example', action='skip',"
        " reason='a ticket', owner='anna', until=t.now() + d(days=9)).pk)"
    ).strip()


@pytest.mark.parametrize("path", OURS)
def test_a_page_of_ours(path: str, pk: str, exception: str, open_page: Open) -> None:
    page = open_page(path.format(exception=exception), bypass_csp=True)
    assert in_light_and_dark(page) == []


@pytest.mark.parametrize("path", OURS)
def test_a_page_of_ours_in_a_narrow_window(
    path: str, pk: str, exception: str, open_page: Open
) -> None:
    viewport = {"width": 360, "height": 740}
    page = open_page(path.format(exception=exception), viewport=viewport, bypass_csp=True)
    assert in_light_and_dark(page) == []


@pytest.mark.parametrize("path", OPEN)
def test_a_page_without_login(path: str, open_page: Open, complaints: list[str]) -> None:
    page = open_page(path, logged_in=False, bypass_csp=True)
    assert in_light_and_dark(page) == []
    complaints.clear()  # a status that is no 200


@pytest.mark.parametrize("path", ADMIN)
def test_a_page_of_the_admin(path: str, pk: str, exception: str, open_page: Open) -> None:
    page = open_page(path.format(pk=pk, exception=exception), bypass_csp=True)
    assert is_at(page, path.format(pk=pk, exception=exception))
    assert in_light_and_dark(page) == []


def test_the_pages_that_tell_of_an_error(
    product: Product, pk: str, open_page: Open, complaints: list[str]
) -> None:
    session = product.run(
        "from django.contrib.auth.models import User; from django.test import Client;"
        "user, _ = User.objects.get_or_create(username='nobody');"
        "client = Client();"
        "client.force_login(user, 'django.contrib.auth.backends.ModelBackend');"
        "print(client.cookies['sessionid'].value)"
    ).strip()
    page = open_page("/accounts/login/", logged_in=False, bypass_csp=True)
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": product.url}])
    shown = {"/policies/": "Your login may not do this", "/policies/x.example/": "Your login may"}
    for path, heading in shown.items():
        page.goto(path)
        page.get_by_role("heading", name=heading).wait_for()
        assert in_light_and_dark(page) == []
    page.goto("/policies/no.axe.example/delete/")
    assert in_light_and_dark(page) == []
    # These two have no way to be met in a product that is well.
    for template in ("500.html", "registration/locked.html", "400.html", "403_csrf.html"):
        page.set_content(
            product.run(
                f"from django.template.loader import render_to_string as r;print(r('{template}'))"
            ).replace("/static/", f"{product.url}/static/")
        )
        page.get_by_role("heading").first.wait_for()
        assert in_light_and_dark(page) == [], template
    complaints.clear()  # statuses that are no 200


def test_the_first_hour(tmp_path: Path, chromium: Browser) -> None:
    """The setup form and the empty list, which the product of the other tests has behind it."""
    with Product(tmp_path) as first:
        context = chromium.new_context(bypass_csp=True)
        page = context.new_page()
        page.goto(first.setup_link)
        page.get_by_role("heading", name="Make the first login").wait_for()
        assert in_light_and_dark(page) == []
        page.get_by_label("Username").fill("anna")
        page.get_by_label("Password", exact=False).first.fill("short")
        page.get_by_label("Password confirmation").fill("other")
        page.get_by_role("button", name="Make the login").click()
        page.get_by_role("alert").wait_for()
        assert in_light_and_dark(page) == []
        page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        page.get_by_label("Password confirmation").fill(PASSWORD)
        page.get_by_role("button", name="Make the login").click()
        page.get_by_role("heading", name="Nothing is cached yet").wait_for()
        assert in_light_and_dark(page) == []
        page.goto(f"{first.url}/alerts/")
        page.get_by_role("heading", name="No alert yet").wait_for()
        assert in_light_and_dark(page) == []
        context.close()


def test_a_token_that_was_made(pk: str, open_page: Open) -> None:
    page = open_page("/admin/policies/apitoken/add/", bypass_csp=True)
    page.get_by_label("Name").fill("a script")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("This is the token of").wait_for()
    assert in_light_and_dark(page) == []


def test_the_question_before_several_are_refetched(pk: str, open_page: Open) -> None:
    page = open_page("/policies/?q=axe.example", bypass_csp=True)
    page.get_by_role("checkbox", name="Select all rows of this page").check()
    page.get_by_role("button", name="Refetch selected…").click()
    page.get_by_role("dialog", name="Refetch 3 policies?").wait_for()
    assert in_light_and_dark(page) == []


def test_the_help_dialog_and_a_row_that_is_fetched(
    product: Product, pk: str, open_page: Open
) -> None:
    with product.lab.gate() as gate:
        product.lab["good.axe.example"].behaviour = replies.Held(gate)
        page = open_page("/policies/?q=good.axe", bypass_csp=True)
        page.get_by_role("button", name="Refetch good.axe.example").click()
        gate.wait_for_arrivals(timeout=30)
        page.get_by_text("running").wait_for()
        assert in_light_and_dark(page) == []
        page.get_by_role("link", name="Help: keys and words").click()
        assert in_light_and_dark(page) == []


def test_an_alert(product: Product, pk: str, open_page: Open) -> None:
    product.run(
        "from django.utils import timezone as t; from policies.alerts.kinds import Kind;"
        "from policies.models import Alert, PolicyRecord;"
        "PolicyRecord.objects.filter(domain='good.axe.example')"
        ".update(open_alerts=Kind('enforce-to-testing').bit);"
        "Alert.objects.get_or_create(domain='good.axe.example', kind='enforce-to-testing',"
        " closed_at=None, defaults=dict(severity='notice', state='confirmed', opened_at=t.now(),"
        " last_seen=t.now(), confirmed_at=t.now(), before_text='mode: enforce',"
        " after_text='mode: testing', evidence={}))"
    )
    page = open_page("/alerts/?domain=good.axe.example", bypass_csp=True)
    assert in_light_and_dark(page) == []
    page.get_by_role("link", name="good.axe.example").click()
    page.get_by_role("heading", name="What it means").wait_for()
    assert in_light_and_dark(page) == []
    page.goto("/policies/good.axe.example/")
    page.get_by_role("link", name="Enforce became testing").wait_for()
    assert in_light_and_dark(page) == []


def test_a_bulk_action_that_asks(pk: str, open_page: Open) -> None:
    page = open_page("/policies/?q=axe.example", bypass_csp=True)
    page.get_by_role("button", name="Delete all 3 that match…").click()
    page.get_by_role("heading", name="Delete 3 policies?").wait_for()
    assert in_light_and_dark(page) == []


def test_a_check_that_has_ended(pk: str, open_page: Open) -> None:
    page = open_page("/check/", bypass_csp=True)
    page.get_by_role("searchbox").fill("backing-off.axe.example")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("region", name="Replies to Postfix").wait_for()
    assert in_light_and_dark(page) == []


@pytest.mark.parametrize(
    "path",
    [
        "/admin/", "/admin/policies/policyrecord/", "/admin/policies/policyrecord/{pk}/change/",
        "/admin/policies/policyexception/add/", "/admin/django_q/schedule/1/change/",
        "/admin/auth/user/1/change/",
    ],
)  # fmt: skip
def test_the_admin_in_a_narrow_window(path: str, pk: str, open_page: Open) -> None:
    viewport = {"width": 360, "height": 740}
    page = open_page(path.format(pk=pk), viewport=viewport, bypass_csp=True)
    assert is_at(page, path.format(pk=pk))
    assert in_light_and_dark(page) == []


@pytest.mark.parametrize(
    "path", ["/admin/policies/policyrecord/add/", "/admin/policies/apitoken/add/",
             "/admin/auth/user/add/", "/admin/django_q/schedule/add/"]
)  # fmt: skip
def test_a_form_of_the_admin_that_is_refused(path: str, open_page: Open) -> None:
    page = open_page(path, bypass_csp=True)
    page.locator("form[novalidate], form[id$=_form]").first.evaluate(
        "form => form.setAttribute('novalidate', '')"
    )
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".errornote").wait_for()
    assert in_light_and_dark(page) == []


@pytest.mark.parametrize("action", ["refetch", "delete_selected"])
def test_what_the_admin_says_of_several(action: str, pk: str, open_page: Open) -> None:
    page = open_page("/admin/policies/policyrecord/?q=good.axe", bypass_csp=True)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(action)
    page.get_by_role("button", name="Go", exact=True).click()
    page.locator(".messagelist, #content form input[name=post]").first.wait_for(state="attached")
    assert in_light_and_dark(page) == []


def is_at(page: Page, path: str) -> bool:
    """Whether that page is shown: the admin leads elsewhere from what is not there."""
    return urlsplit(page.url).path == urlsplit(path).path


def in_light_and_dark(page: Page) -> list[tuple[str, str, str]]:
    """What axe objects to in either theme."""
    found = []
    page.add_style_tag(content="* { transition: none !important; }")  # no colour half way
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += violations(page)
    return found


def violations(page: Page) -> list[tuple[str, str, str]]:
    """Rule, selector and what is wrong, of each element that axe objects to."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        (rule["id"], " ".join(map(str, node["target"])), node["failureSummary"])
        for rule in found
        for node in rule["nodes"]
    ]
