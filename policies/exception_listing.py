"""What `/exceptions/` is asked to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import F, Q, QuerySet

from policies import exceptions
from policies.listing import PAGE, Choice, known
from policies.models import PolicyException

STATES = (
    Choice("active", "active"),
    Choice("ending", "end within a day"),
    Choice("coming", "coming"),
    Choice("ended", "ended"),
)
ACTIONS = tuple(Choice(str(value), str(label)) for value, label in PolicyException.Action.choices)
SCOPES = tuple(Choice(str(value), str(label)) for value, label in PolicyException.Scope.choices)

SEARCH_LIMIT = 255
LAST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Filters:
    """Fields are empty where nothing is asked; without a state, those that have not ended."""

    q: str = ""
    state: str = ""
    action: str = ""
    scope: str = ""
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From a query string; what is unknown there asks for nothing."""
        return cls(
            q=_plain(query.get("q", "")),
            state=known(query.get("state", ""), STATES),
            action=known(query.get("action", ""), ACTIONS),
            scope=known(query.get("scope", ""), SCOPES),
            page=_page(query.get("page", "")),
        )

    @property
    def any(self) -> bool:
        return bool(self.q or self.state or self.action or self.scope)

    def query(self, page: int) -> str:
        """The query string of another page of the same."""
        values = {"q": self.q, "state": self.state, "action": self.action, "scope": self.scope}
        given = {name: value for name, value in values.items() if value}
        return "?" + urlencode(given | ({"page": str(page)} if page > 1 else {}))


@dataclass(frozen=True, slots=True)
class Page:
    """Some exceptions, and whether there are more."""

    rows: list[PolicyException]
    has_more: bool


def page(filters: Filters, now: datetime) -> Page:
    """Those that are asked for: the first to end first, of ended ones the last."""
    rows = _in_state(filters.state, now)
    if filters.q:
        # A part of a name in lower case, and of a reason as it is.
        rows = rows.filter(Q(target__contains=filters.q.lower()) | Q(reason__contains=filters.q))
    if filters.action:
        rows = rows.filter(action=filters.action)
    if filters.scope:
        rows = rows.filter(scope=filters.scope)
    start = (filters.page - 1) * PAGE
    found = list(rows[start : start + PAGE + 1])
    return Page(found[:PAGE], len(found) > PAGE)


def _in_state(state: str, now: datetime) -> QuerySet[PolicyException]:
    if state == "ended":
        over = PolicyException.objects.filter(Q(ended__isnull=False) | Q(until__lte=now))
        return over.order_by(F("ended").desc(nulls_first=True), "-pk")
    if state == "ending":
        return exceptions.ending_within(exceptions.SOON, now)
    rows = exceptions.unended(now).order_by(F("until").asc(nulls_last=True), "pk")
    if state == "active":
        return rows.filter(since__lte=now)
    return rows.filter(since__gt=now) if state == "coming" else rows


def _plain(text: str) -> str:
    """Without what no database takes."""
    clean = text.replace("\0", "").encode("utf-8", "ignore").decode()
    return clean.strip()[:SEARCH_LIMIT]


def _page(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) < 5
    return min(max(int(text), 1), LAST_PAGE) if is_number else 1
