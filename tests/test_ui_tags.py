"""The template tags of `policies.templatetags.ui`, the colours, and the pages without a view."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.template import Context
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import include, path

from policies.templatetags import ui
from policies.templatetags.ui import (
    age,
    badge,
    bar,
    code_lines,
    domain_name,
    due,
    duration,
    number,
)
from policies.templatetags.ui import nav_items as nav_items_tag

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)

# Some of the routes that the navigation knows, for the tests that take this module as URLconf.
listed = [path("", lambda request: HttpResponse(), name="list")]
urlpatterns = [path("policies/", include((listed, "policies"))), path("admin/", admin.site.urls)]


def text_of(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html)


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (timedelta(seconds=0), "now"),
        (timedelta(seconds=-12), "12 s ago"),
        (timedelta(seconds=-59.9), "59 s ago"),
        (timedelta(seconds=-60), "1 min ago"),
        (timedelta(hours=-5, minutes=-59), "5 h ago"),
        (timedelta(days=6, hours=1), "in 6 d"),
        (timedelta(days=800), "in 2 y"),
    ],
)
def test_a_time_is_said_as_an_age_in_its_largest_unit(delta: timedelta, words: str) -> None:
    assert text_of(age(NOW + delta, now=NOW)) == words


def test_an_age_carries_the_exact_time_in_utc() -> None:
    berlin = datetime.fromisoformat("2026-08-01T14:00:00+02:00")
    html = age(berlin, now=NOW)
    assert 'datetime="2026-08-01T12:00:00Z"' in html
    assert 'title="2026-08-01 12:00:00 UTC"' in html


def test_a_time_that_never_was_is_said_in_words() -> None:
    assert text_of(age(None)) == "never"
    assert text_of(age(None, never="not <yet>")) == "not &lt;yet&gt;"


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (timedelta(hours=3), "in 3 h"),
        (timedelta(seconds=0), "now"),
        (timedelta(seconds=-59), "now"),
        (timedelta(hours=-21), "now, due for 21 h"),
    ],
)
def test_what_is_planned_is_no_past(delta: timedelta, words: str) -> None:
    assert text_of(due(NOW + delta, now=NOW)) == words


def test_what_has_no_plan_is_due_now() -> None:
    assert text_of(due(None, now=NOW)) == "now"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0, "0 s"),
        (0.35, "350 ms"),
        (59, "59 s"),
        (90, "1 min 30 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (129_600, "1 d 12 h"),
        (604_800, "7 d"),
        (31_557_600, "1 y"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_number_has_its_thousands_apart() -> None:
    assert [number(0), number(1234567), number(None)] == ["0", "1,234,567", "–"]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("enforce", "ok"),
        ("testing", "warn"),
        ("none", "idle"),
        ("fetch failed, backing off", "bad"),
        ("sts-webpki-invalid", "bad"),
        ("running", "busy"),
        ("a word nobody knows", "idle"),
    ],
)
def test_a_badge_takes_its_kind_from_its_word(word: str, kind: str) -> None:
    assert badge(word) == f'<span class="badge {kind}">{word}</span>'


def test_a_badge_takes_the_kind_that_is_given_and_refuses_others() -> None:
    assert 'class="badge warn"' in badge("sts", kind="warn")
    with pytest.raises(ValueError, match="purple"):
        badge("sts", kind="purple")


@pytest.mark.parametrize("tag", [badge, domain_name, code_lines])
def test_text_from_outside_cannot_become_markup(tag: Any) -> None:
    html = tag('<img src=x onerror="alert(1)">')
    assert "<img" not in html
    assert "&lt;img" in html


def test_a_badge_title_cannot_break_out_of_its_attribute() -> None:
    assert '" onmouseover' not in badge("sts", title='" onmouseover="x')


def test_an_international_name_is_shown_in_both_forms_whichever_is_given() -> None:
    for given in ("münchen.example", "xn--mnchen-3ya.example"):
        html = domain_name(given)
        assert "<bdi>münchen.example</bdi>" in html
        assert '<span class="alabel">xn--mnchen-3ya.example</span>' in html


def test_a_plain_name_is_shown_once() -> None:
    assert domain_name("example.com") == "<bdi>example.com</bdi>"


def test_policy_lines_stay_unbroken_and_copy_as_they_are() -> None:
    text = "version: STSv1\nmode: enforce\n\nmx: *.example.com"
    html = code_lines(text.replace("\n", "\r\n") + "\r\n")
    assert html.count('<span class="line">') == 4
    assert "mode: enforce\n</span>" in html
    assert text_of(html) == text + "\n"


def test_a_broken_line_is_marked_and_only_that_one() -> None:
    html = code_lines("version: STSv1\nmode: enforced\n", bad_line=2)
    assert re.findall(r'class="(line[^"]*)"', html) == ["line", "line bad"]


def test_characters_that_hide_are_drawn_as_code_points() -> None:
    html = code_lines("mx: \u202emoc.live\x00")
    assert '<span class="odd-char" data-code="U+202E">\u202e</span>moc.live' in html
    assert 'data-code="U+0000"' in html


@pytest.mark.parametrize(
    ("value", "total", "width"),
    [(5, 20, "25.0"), (-1, 20, "0.0"), (30, 20, "100.0"), (1, 0, "0.0")],
)
def test_a_bar_is_filled_within_its_ends(value: int, total: int, width: str) -> None:
    html = bar(value, total, "5 of 20")
    assert f'class="fill" width="{width}"' in html
    assert 'aria-label="5 of 20"' in html
    assert "style=" not in html


def nav(user: Any, address: str) -> list[Any]:
    request = RequestFactory().get(address)
    return nav_items_tag(Context({"request": request, "user": user}))


def somebody(*, is_staff: bool, may: bool) -> SimpleNamespace:
    return SimpleNamespace(is_authenticated=True, is_staff=is_staff, has_perm=lambda _: may)


def test_navigation_is_empty_without_a_login() -> None:
    assert nav(AnonymousUser(), "/policies/") == []
    assert nav_items_tag(Context({})) == []


def test_navigation_leaves_out_the_admin_and_routes_that_do_not_exist(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    viewer = somebody(is_staff=False, may=False)
    staff = somebody(is_staff=True, may=True)
    assert [item.label for item in nav(viewer, "/policies/")] == ["Policies"]
    assert [item.label for item in nav(staff, "/policies/")] == ["Policies", "Admin"]


@pytest.mark.django_db  # the number of open alerts stands in it
def test_navigation_leaves_out_what_the_user_may_not_open() -> None:
    viewer, operator = somebody(is_staff=False, may=False), somebody(is_staff=False, may=True)
    assert "Check" not in [item.label for item in nav(viewer, "/policies/")]
    assert "Check" in [item.label for item in nav(operator, "/policies/")]


def test_navigation_marks_where_one_is(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    viewer = somebody(is_staff=False, may=False)
    assert nav(viewer, "/policies/")[0].current == "page"
    assert nav(viewer, "/policies/example.com/")[0].current == "true"
    assert nav(viewer, "/status/")[0].current == ""


def test_navigation_says_how_many_things_wait_at_a_place(monkeypatch: Any) -> None:
    places = (ui.Place("Policies", "policies:list", count=lambda: 3),)
    monkeypatch.setattr(ui, "NAV", places)
    viewer = somebody(is_staff=False, may=False)
    assert [item.count for item in nav(viewer, "/policies/")] == [3]


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_an_error_page_needs_neither_context_nor_database(name: str) -> None:
    html = render_to_string(f"{name}.html")
    assert f"Error {name[:3]}" in html
    assert 'href="/"' in html


TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_no_template_holds_what_the_content_security_policy_forbids(template: Path) -> None:
    source = template.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", source)
    for opening in re.findall(r"<script[^>]*>", source):
        assert "src=" in opening


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_no_template_comment_spans_lines_since_it_would_be_shown(template: Path) -> None:
    for line in template.read_text().splitlines():
        assert line.count("{#") == line.count("#}")


# Colours: WCAG 2.2, 1.4.3 (text) and 1.4.11 (edges of what one can operate).

SURFACES = ("bg", "surface", "raised", "selected")
TEXT_PAIRS = [
    *product(("text", "muted", "link", "bad", "danger"), SURFACES),
    *((kind, f"{kind}-bg") for kind in ("ok", "warn", "bad", "busy", "idle")),
    ("on-accent", "accent"),
    ("on-danger", "danger"),
]
EDGE_PAIRS = [*product(("control", "focus"), SURFACES), ("accent", "line"), ("bad", "line")]


def tokens() -> dict[str, tuple[str, str]]:
    """Token name → (light, dark)."""
    css = (ROOT / "static/css/tokens.css").read_text()
    pairs = re.findall(r"--c-([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", css)
    return {name: (light, dark) for name, light, dark in pairs}


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_counted_as_wcag_counts_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_stands_out_from_its_ground(text: str, ground: str, theme: int) -> None:
    colours = tokens()
    assert contrast(colours[text][theme], colours[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGE_PAIRS)
def test_edges_stand_out_from_their_ground(edge: str, ground: str, theme: int) -> None:
    colours = tokens()
    assert contrast(colours[edge][theme], colours[ground][theme]) >= 3


def test_colours_are_written_in_the_tokens_only() -> None:
    for name in ("base.css", "components.css", "admin.css"):
        css = (ROOT / "static/css" / name).read_text()
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b", css), name
        used = set(re.findall(r"var\(--c-([a-z-]+)", css))
        assert used <= tokens().keys(), name


def test_the_script_stays_small() -> None:
    lines = sum(len(file.read_text().splitlines()) for file in (ROOT / "static/js").glob("*.js"))
    assert lines < 150
