"""Text from policy hosts and from users is text, in a browser that would run what it could."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.product import Product
from tests.lab import answers

SCRIPT = "\"'><script>alert(1)</script><img src=x onerror=alert(2)><svg/onload=alert(3)>"
HOSTILE = (
    "version: STSv1\nmode: enforce\nmx: mx.hostile.example\nmax_age: 604800\n"
    f"x-note: {SCRIPT}\nx-template: {{{{ 7*7 }}}} {{% now 'Y' %}}\nx-brace: }} servername=evil {{\n"
    "x-turned: \u202egnirts\u200b\u2028 \x85\n"
)
BROKEN = f"version: STSv1\nmode: <b onclick=alert(4)>bold</b>\n{SCRIPT}\n"

NAME = "<img src=x onerror=alert(5)>.example"
"""No name that anything of ours would store; whoever writes to the database may."""

PAGES = ("/policies/?q=hostile", "/policies/{}/", "/policies/{}/delete/", "/fetches/", "/outcomes/")


@pytest.fixture(scope="module")
def rows(product: Product) -> dict[str, str]:
    """The keys of two rows, by their domains."""
    product.lab.domain("hostile.example", HOSTILE, id="1")
    product.lab.domain("broken.hostile.example", BROKEN, id="1")
    product.ask("hostile.example", "broken.hostile.example")
    printed = product.run(
        "from policies.models import PolicyRecord as P\n"
        "for row in P.objects.filter(domain__endswith='hostile.example'): print(row.domain, row.pk)"
    )
    return dict(line.split() for line in printed.splitlines())


@pytest.mark.parametrize("domain", ["hostile.example", "broken.hostile.example"])
def test_a_hostile_policy_is_shown_and_does_nothing(
    domain: str, rows: dict[str, str], open_page: Open
) -> None:
    # A dialog, or a complaint of the policy against inline scripts, would fail the test.
    page = open_page("/policies/")
    for path in (*PAGES, f"/admin/policies/policyrecord/{rows[domain]}/change/"):
        page.goto(path.format(domain))
        assert planted(page) == []


def planted(page: Page) -> list[str]:
    """What of the hostile text has become a part of the page."""
    return list(page.eval_on_selector_all("main *, #content *", """all => all
        .filter(each => [...each.attributes].some(one => one.name.startsWith("on"))
            || each.matches("img[src=x], script:not([src]), b[onclick]"))
        .map(each => each.outerHTML)"""))  # fmt: skip


def test_the_text_is_shown_line_by_line_as_it_was_served(
    rows: dict[str, str], open_page: Open
) -> None:
    page = open_page("/policies/hostile.example/")
    lines = page.locator(".code").first.locator(".line")
    expect(lines).to_have_count(8)
    expect(lines.nth(4)).to_have_text(f"x-note: {SCRIPT}")
    expect(lines.nth(5)).to_have_text("x-template: {{ 7*7 }} {% now 'Y' %}")
    marked = lines.nth(7).locator(".odd-char")
    assert marked.evaluate_all("all => all.map(each => each.dataset.code)") == [
        "U+202E", "U+200B", "U+2028", "U+0085",
    ]  # fmt: skip


def test_the_line_that_does_not_parse_is_marked(rows: dict[str, str], open_page: Open) -> None:
    page = open_page("/policies/broken.hostile.example/")
    expect(page.locator(".code .bad")).to_have_text("mode: <b onclick=alert(4)>bold</b>")


@pytest.mark.parametrize("text", [SCRIPT, "javascript:alert(1)", "<img src=x onerror=alert(1)>"])
def test_a_hostile_search_is_shown_and_does_nothing(text: str, open_page: Open) -> None:
    page = open_page("/policies/")
    page.get_by_label("Domain", exact=True).fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Domain", exact=True)).to_have_value(text)
    assert planted(page) == []


@pytest.fixture(scope="module")
def told(product: Product) -> dict[str, str]:
    """What people and other hosts may have written elsewhere: keys by what they are of."""
    printed = product.run(
        f"text, name = {SCRIPT!r}, {NAME!r}\n"
        "from datetime import timedelta; from django.utils import timezone\n"
        "from django.contrib.auth.models import User\n"
        "from policies import audit, tokens\n"
        "from policies.models import Alert, MXCheck, PolicyException, PolicyRecord\n"
        "from policies.mtasts.mxfit import MailHost\n"
        "now, user = timezone.now(), User.objects.first()\n"
        "end = now + timedelta(days=1)\n"
        "exception = PolicyException.objects.create(scope='domain', target='x.hostile.example',"
        " action='skip', reason=text, owner=text[:100], until=end)\n"
        "PolicyException.objects.create(scope='mx', target=name, action='skip', reason=text,"
        " owner='o', until=end)\n"
        "alert = Alert.objects.create(domain=name, kind='enforce-to-testing', severity='notice',"
        " state='suspected', opened_at=now, last_seen=now, policy_end=end, before_text=text,"
        " after_text=text, note=text, acknowledged_at=now, acknowledged_by=user, evidence={"
        "'dns': {'txt': [text, 'v=STSv1; id=' + text], 'error': text}, 'failure': {'type': text,"
        " 'reason': text, 'message': text}, 'certificate': {'issuer': text, 'names': [text],"
        " 'not_before': now.isoformat(), 'not_after': now.isoformat()},"
        " 'before': {'mode': text, 'record_id': text, 'max_age': 1, 'failures': 2}})\n"
        "audit.log(user, [exception, alert], 2, text)\n"
        "audit.log_about(user, PolicyRecord, name, 2, text)\n"
        "row = PolicyRecord.objects.get(domain='hostile.example')\n"
        "PolicyRecord.objects.filter(pk=row.pk).update(last_use=now, failures=5,"
        " failure_type=text[:64], failure_reason=text, certificate_end=now + timedelta(days=2),"
        " certificate={'issuer': text, 'names': [text], 'more_names': 0,"
        " 'begin': now.isoformat()})\n"
        "check = MXCheck.objects.filter(domain=row.domain).first()"
        " or MXCheck(domain=row.domain, due=now)\n"
        "check.found('mx', [MailHost(10, text)], row.mx, now)\n"
        "check.save()\n"
        "print('exception', exception.pk)\n"
        "print('alert', alert.pk)"
    )
    return dict(line.split() for line in printed.splitlines())


def test_hostile_text_on_the_other_pages_does_nothing(
    rows: dict[str, str], told: dict[str, str], open_page: Open
) -> None:
    page = open_page("/policies/")
    seen = 0
    for path in (
        "/alerts/", f"/alerts/{told['alert']}/", "/trouble/", "/audit/", "/exceptions/",
        f"/exceptions/{told['exception']}/", f"/exceptions/{told['exception']}/end/",
        "/policies/hostile.example/", "/policies/?q=hostile", "/jobs/",
        f"/admin/policies/policyexception/{told['exception']}/change/",
        "/admin/policies/policyexception/",
    ):  # fmt: skip
        page.goto(path)
        assert planted(page) == [], path
        seen += "<script>alert" in page.locator("body").inner_text()
    assert seen >= 6, "it was not even shown"


def test_a_hostile_txt_record_is_shown_by_a_check_and_does_nothing(
    product: Product, open_page: Open
) -> None:
    product.lab.domain("record.hostile.example", HOSTILE, id="1")
    product.lab["record.hostile.example"].txt = answers.Records(f"v=STSv1; id=1; x={SCRIPT}")
    page = open_page("/check/")
    for domain in ("record.hostile.example", "hostile.example", "broken.hostile.example"):
        page.get_by_role("searchbox").fill(domain)
        page.get_by_role("button", name="Check", exact=True).click()
        page.get_by_role("region", name="Replies to Postfix").wait_for()
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
        assert planted(page) == []


@pytest.mark.parametrize("path", ["/check/", "/check/store/"])
def test_a_hostile_domain_is_refused_as_text(path: str, open_page: Open) -> None:
    page = open_page("/check/")
    page.get_by_role("searchbox").fill(SCRIPT)
    page.locator("main form").evaluate("(form, path) => { form.action = path; }", path)
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This is no domain name")
    expect(page.get_by_role("searchbox")).to_have_value(SCRIPT)
    assert planted(page) == []


@pytest.mark.parametrize(
    "path",
    ["/policies/%3Cscript%3Ealert(1)%3C%2Fscript%3E/", "/%3Cimg%20src=x%20onerror=alert(1)%3E"],
)
def test_a_hostile_address_is_not_found(path: str, open_page: Open, complaints: list[str]) -> None:
    page = open_page(path)
    expect(page.get_by_role("heading")).to_have_text("There is nothing at this address")
    assert all("404" in each for each in complaints)
    complaints.clear()
