"""Template tags that show times, names, states and numbers the same way on every page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.template.context import Context
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from mtastsweb.environment import PROGRAM
from policies import alerts, diffs, exceptions, history
from policies.models import PolicyVersion
from policies.mtasts import DomainNameError, parse_domain
from policies.socketmap.exceptions import Rule

register = template.Library()

MINUTE, HOUR, DAY, YEAR = 60, 3_600, 86_400, 31_557_600
UNITS = ((YEAR, "y"), (DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))


class Kind(StrEnum):
    """How a state is meant: the CSS class that gives its badge a shape and a colour."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    BUSY = "busy"
    IDLE = "idle"


# The words of the field, and what each one means to somebody who looks for trouble.
KINDS = {
    "enforce": Kind.OK,
    "testing": Kind.WARN,
    "none": Kind.IDLE,
    "backing off": Kind.BAD,
    "fetch failed, backing off": Kind.BAD,
    "edited": Kind.WARN,
    "expired": Kind.BAD,
    "sts": Kind.OK,
    "no-policy-found": Kind.IDLE,
    "sts-policy-fetch-error": Kind.BAD,
    "sts-policy-invalid": Kind.BAD,
    "sts-webpki-invalid": Kind.BAD,
    "queued": Kind.BUSY,
    "running": Kind.BUSY,
    "done": Kind.OK,
    "fetched": Kind.OK,
    "changed": Kind.OK,
    "unchanged": Kind.OK,
    "failed": Kind.BAD,
    "lost": Kind.BAD,
    "removed": Kind.WARN,
    "no MTA-STS record": Kind.WARN,
    "stopped": Kind.IDLE,
    "warning": Kind.BAD,
    "notice": Kind.WARN,
}

MESSAGE_KINDS = {"success": Kind.OK, "warning": Kind.WARN, "error": Kind.BAD, "info": Kind.BUSY}


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the main navigation.

    `needs`: what it wants beyond being logged in, where not everybody who sees the list has it.
    `count`: how many things wait there; a query of every page, so a cheap one.
    """

    label: str
    route: str
    needs: str = ""
    count: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class NavItem:
    """A link of the main navigation; `current` is the value of aria-current, or empty."""

    label: str
    url: str
    current: str
    count: int = 0


NAV = (
    Place("Policies", "policies:list"),
    Place("Exceptions", "policies:exceptions", needs="policies.view_policyexception"),
    Place("Fetches", "policies:fetches"),
    Place("Outcomes", "policies:outcomes"),
    Place("Alerts", "policies:alerts", count=alerts.unread),
    Place("Trouble", "policies:trouble"),
    Place("Check", "policies:check", needs="policies.refetch_policyrecord"),
    Place("Status", "policies:status"),
    Place("Log", "policies:audit"),
    Place("Admin", "admin:index"),
)


@register.simple_tag
def program() -> str:
    """What is typed before each of our commands."""
    return PROGRAM


@register.simple_tag(takes_context=True)
def nav_items(context: Context) -> list[NavItem]:
    """The pages that exist and that the user may open; none for somebody not logged in."""
    user, request = context.get("user"), context.get("request")
    if user is None or request is None or not user.is_authenticated:
        return []
    items = []
    for place in NAV:
        if place.route == "admin:index" and not user.is_staff:
            continue
        if place.needs and not user.has_perm(place.needs):
            continue
        try:
            url = reverse(place.route)
        except NoReverseMatch:
            continue
        count = place.count() if place.count else 0
        items.append(NavItem(place.label, url, _current(request.path, url), count))
    return items


def _current(path: str, url: str) -> str:
    if path == url:
        return "page"
    return "true" if path.startswith(url) else ""


GUIDES = {
    "alerts": "alerts",
    "audit": "roles",
    "exceptions": "exceptions",
    "glossary": "how-it-works",
    "outcomes": "outcomes",
    "setup": "tutorial",
    "trouble": "trouble",
}
"""Which page of the documentation is about the pages that begin so; docs/pages.md has the rest."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The documentation of a page. `url` and `start` are empty where DOCS_URL says nothing."""

    name: str
    url: str
    start: str

    @property
    def file(self) -> str:
        return f"docs/{self.name}.md"


@register.simple_tag(takes_context=True)
def guide(context: Context) -> Guide:
    """What to read about the page that is shown."""
    path = getattr(context.get("request"), "path", "/")
    name = GUIDES.get(path.split("/")[1], "pages")
    start = str(settings.MTASTS.docs_url)
    below = start.removesuffix("index.html").rstrip("/")
    return Guide(name, f"{below}/{name}.html" if start else "", start)


@register.simple_tag
def age(moment: datetime | None, never: str = "never", now: datetime | None = None) -> SafeString:
    """`moment` as "2 min ago" or "in 6 d", with the exact time in UTC on hover.

    `never` is said where there is no moment.
    """
    if moment is None:
        return format_html('<span class="muted">{}</span>', never)
    seconds = (moment - (now or timezone.now())).total_seconds()
    exact = moment.astimezone(UTC).isoformat(" ", "seconds")[:19]
    machine = f"{exact.replace(' ', 'T')}Z"
    # Pages have hundreds of these, and format_html takes five times as long.
    return mark_safe(  # noqa: S308 - digits and words of ours
        f'<time datetime="{machine}" title="{exact} UTC">{_relative(seconds)}</time>'
    )


@register.simple_tag
def due(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """When work is planned: "in 6 d"; "now"; or, from a minute after, "now, due for 3 h".

    A tick begins what is due once a minute. No moment counts as due.
    """
    now = now or timezone.now()
    waiting = int((now - moment).total_seconds()) if moment else 0
    if moment and waiting < 0:
        return age(moment, now=now)
    if not moment or waiting < MINUTE:
        return format_html("{}", "now")
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">now, due for {}</time>',
        exact.strftime("%Y-%m-%dT%H:%M:%SZ"),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        _largest_unit(waiting),
    )


def _relative(seconds: float) -> str:
    if abs(seconds) < 1:
        return "now"
    span = _largest_unit(int(abs(seconds)))
    return f"in {span}" if seconds > 0 else f"{span} ago"


def _largest_unit(seconds: int) -> str:
    size, unit = next(pair for pair in UNITS if seconds >= pair[0])
    return f"{seconds // size} {unit}"


@register.filter
def duration(seconds: float | None) -> str:
    """A span in its two largest units ("7 d", "1 d 12 h", "350 ms"); empty for none."""
    if seconds is None:
        return ""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    if whole <= 0:
        return "0 s"
    size, unit = next(pair for pair in UNITS if whole >= pair[0])
    rest = whole % size
    first = f"{whole // size} {unit}"
    smaller = next((pair for pair in UNITS if pair[0] < size), None)
    if smaller is None or rest < smaller[0]:
        return first
    return f"{first} {rest // smaller[0]} {smaller[1]}"


@register.filter
def number(value: int | None) -> str:
    """A count with its thousands apart ("1,234,567"); a dash for none."""
    return "–" if value is None else f"{value:,}"


@register.simple_tag
@lru_cache(maxsize=1024)  # pages have hundreds, and most are alike
def badge(word: str, kind: str = "", title: str = "") -> SafeString:
    """`word` with the shape and colour of its kind: the one given, else the word's own, else idle.

    Raises ValueError for a kind that is none.
    """
    chosen = Kind(kind) if kind else KINDS.get(word, Kind.IDLE)
    hint = format_html(' title="{}"', title) if title else ""
    return format_html('<span class="badge {}"{}>{}</span>', chosen, hint, word)


@register.filter
def exception_kind(action: str) -> str:
    """How an exception's action is meant: skip takes protection away, the others add to it."""
    return Kind.BAD if action == "skip" else Kind.WARN


@register.simple_tag
def exception_badge(rule: Rule) -> SafeString:
    """That an exception counts, with its reason on hover."""
    end = f"until {rule.until:%Y-%m-%d %H:%M} UTC" if rule.until else "without end"
    title = f"{rule.shown_target}, {end}, {rule.owner}: {rule.reason}"
    is_ending = rule.until is not None and rule.until <= timezone.now() + exceptions.SOON
    word = f"exception: {rule.action}{', ends soon' if is_ending else ''}"
    return badge(word, exception_kind(rule.action), title)


@register.inclusion_tag("exceptions/pause_bar.html", takes_context=True)
def pause_bar(context: Context) -> dict[str, Any]:
    """Says that enforcement is paused, to whoever is logged in: one query of every page."""
    user = context.get("user")
    if user is None or not user.is_authenticated:
        return {"pause": None}
    return {"pause": exceptions.pause(timezone.now())}


@register.simple_tag
def message_kind(level_tag: str) -> str:
    """The kind for the level of one of Django's messages."""
    return MESSAGE_KINDS.get(level_tag, Kind.IDLE)


@register.simple_tag
def domain_name(domain: str) -> SafeString:
    """A domain as people write it and, where that differs, its A-label beside it.

    What is no domain name is shown as it is.
    """
    try:
        parsed = parse_domain(domain)
    except DomainNameError:
        return format_html("<bdi>{}</bdi>", domain)
    if parsed.unicode == parsed.ascii:
        return format_html("<bdi>{}</bdi>", parsed.ascii)
    return format_html('<bdi>{}</bdi> <span class="alabel">{}</span>', parsed.unicode, parsed.ascii)


# Characters that are not seen, or that turn the order of those beside them around.
ODD_CHARACTER = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


@register.simple_tag
def code_lines(text: str, bad_line: int = 0) -> SafeString:
    """Text as served, each line unbroken, with drawn line numbers that copying leaves out.

    `bad_line`, counted from 1, is marked. Characters that hide are drawn as their code points.
    """
    rows = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    lines = format_html_join(
        "",
        '<span class="line{}">{}\n</span>',
        (
            (" bad" if at == bad_line else "", _with_odd_characters_shown(row))
            for at, row in enumerate(rows, 1)
        ),
    )
    return format_html('<pre class="code" tabindex="0"><code>{}</code></pre>', lines)


@register.simple_tag
def code_diff(before: str, after: str) -> SafeString:
    """What changed between two texts; each line says in words, too, what became of it."""
    words = {diffs.Kind.ADDED: "added: ", diffs.Kind.REMOVED: "removed: "}
    lines = format_html_join(
        "",
        '<span class="line {}"><span class="visually-hidden">{}</span>{}\n</span>',
        (
            (line.kind, words.get(line.kind, ""), _with_odd_characters_shown(line.text))
            for line in diffs.diff(before, after)
        ),
    )
    return format_html('<pre class="code diff" tabindex="0"><code>{}</code></pre>', lines)


@register.simple_tag
def code_sides(before: str, after: str, left: str, right: str) -> SafeString:
    """Two texts side by side, each line beside the one that took its place.

    `left`, `right`: what the two are. Each line says in words, too, what became of it.
    """
    rows = format_html_join(
        "",
        "<tr>{}{}</tr>",
        ((_side(old, "removed"), _side(new, "added")) for old, new in diffs.sides(before, after)),
    )
    return format_html(
        '<div class="table" role="region" aria-label="{left} and {right}" tabindex="0">'
        '<table class="sides"><thead><tr><th scope="col">{left_head}</th>'
        '<th scope="col">{right_head}</th></tr></thead><tbody>{rows}</tbody></table></div>',
        left=left.capitalize(),
        right=right,
        left_head=left.capitalize(),
        right_head=right.capitalize(),
        rows=rows,
    )


@register.simple_tag
def versions_on(day: date, changes: Sequence[history.Change]) -> list[PolicyVersion]:
    """Which versions of a policy's page were in force on a day, the latest first."""
    return history.on(day, changes)


def _side(line: diffs.Line | None, what: str) -> SafeString:
    if line is None:
        return mark_safe('<td class="absent"></td>')
    if line.kind is diffs.Kind.SAME:
        return format_html("<td>{}</td>", _with_odd_characters_shown(line.text))
    return format_html(
        '<td class="{}"><span class="visually-hidden">{}: </span>{}</td>',
        line.kind,
        what,
        _with_odd_characters_shown(line.text),
    )


def _with_odd_characters_shown(row: str) -> SafeString:
    def shown(match: re.Match[str]) -> str:
        code = f"U+{ord(match[0]):04X}"
        return format_html('<span class="odd-char" data-code="{}">{}</span>', code, match[0])

    # Escaped before, and the replacement escapes what it inserts.
    return mark_safe(ODD_CHARACTER.sub(shown, conditional_escape(row)))  # noqa: S308


@register.simple_tag
def bar(value: float, total: float, label: str, kind: str = "") -> SafeString:
    """A bar filled to value / total, drawn as SVG; `label` says the same in words."""
    share = min(max(value / total, 0.0), 1.0) if total > 0 else 0.0
    return format_html(
        '<svg class="bar{}" viewBox="0 0 100 4" preserveAspectRatio="none" role="img"'
        ' aria-label="{}"><rect class="ground" width="100" height="4"/>'
        '<rect class="fill" width="{}" height="4"/></svg>',
        f" {Kind(kind)}" if kind else "",
        label,
        f"{share * 100:.1f}",
    )
