"""Trouble ahead."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from policies import trouble
from policies.listing import PAGE
from policies.mtasts import DomainNameError, parse_domain
from policies.tiles import Tile
from policies.trouble import Found, Kind, Trouble
from policies.views.common import VIEW


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as the page shows it.

    `ascii`: the A-label name of the policy's page; empty for what is more than one domain.
    """

    entry: Trouble
    ascii: str


@require_safe
@permission_required(VIEW, raise_exception=True)
def index(request: HttpRequest) -> HttpResponse:
    """`/trouble/`: what will go wrong, what hits most mail first."""
    now = timezone.now()
    found = trouble.found(now)
    kind = _kind(request.GET.get("kind", ""))
    rest = trouble.after(found.of(kind), trouble.read_cursor(request.GET.get("after", "")))
    shown = rest[:PAGE] or list(found.of(kind)[:PAGE])
    is_first = shown == list(found.of(kind)[:PAGE])
    more = len(rest) > PAGE
    base = f"?kind={kind}" if kind else "?"
    return render(
        request,
        "trouble/page.html",
        {
            "lines": [Line(each, _ascii(each.domain)) for each in shown],
            "tiles": _tiles(found, kind),
            "kind": kind,
            "capped": [trouble.TITLES[each] for each in sorted(found.capped)],
            "limit": trouble.LIMIT,
            "days": trouble.RANKED_BY.days,
            "now": now,
            "first": "" if is_first else base,
            "next": f"{base}{'&' if kind else ''}after={trouble.cursor(shown[-1])}" if more else "",
        },
    )


def _ascii(domain: str) -> str:
    try:
        return parse_domain(domain).ascii
    except DomainNameError:
        return ""


def _kind(text: str) -> str:
    return text if text in list(Kind) else ""


def _tiles(found: Found, current: str) -> list[Tile]:
    tiles = [Tile("all", len(found.entries), "?", current=not current)]
    for kind, title in trouble.TITLES.items():
        count = found.count(kind)
        colour = ("warn" if kind in trouble.MILD else "bad") if count else ""
        tiles.append(Tile(title, count, f"?kind={kind}", kind=colour, current=kind == current))
    return tiles
