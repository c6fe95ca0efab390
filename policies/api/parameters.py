"""The query of a request, read strictly: a script that misspells a filter must not get all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from policies.api.problems import Problem
from policies.listing import Choice

LIMIT, MOST = 50, 500
"""Items of a page, where nothing is asked, and at the most."""

PAGING = ("after", "before", "limit")


class Parameters:
    """The parameters of a request. Raises Problem for an unknown one, and one given twice.

    `known`: those of the resource; those of paging are added where it `is_paged`.
    """

    def __init__(
        self, request: HttpRequest, known: Collection[str] = (), *, is_paged: bool = True
    ) -> None:
        self._path = request.path
        self.query: QueryDict = request.GET
        names = (*known, *(PAGING if is_paged else ()))
        for name in self.query:
            if name not in names:
                listed = ", ".join(names) or "none"
                raise _wrong(name, f"There is no parameter {name!r} here. Known: {listed}.")
            if len(self.query.getlist(name)) > 1:
                raise _wrong(name, f"The parameter {name} was given more than once.")
            if "\0" in self.query[name]:
                raise _wrong(name, f"The parameter {name} holds a NUL.")

    def choice(self, name: str, choices: Iterable[Choice | str]) -> str:
        """One of these values, or empty. Raises Problem for any other."""
        values = [each.value if isinstance(each, Choice) else each for each in choices]
        given = self.query.get(name, "")
        if given and given not in values:
            accepted = ", ".join(values)
            raise _wrong(name, f"The parameter {name} is {given!r}. Accepted: {accepted}.")
        return given

    @property
    def limit(self) -> int:
        """Items of a page."""
        given = self.query.get("limit", str(LIMIT))
        if not (given.isascii() and given.isdecimal() and len(given) < 5):
            raise _wrong("limit", f"The parameter limit is {given!r}. Accepted: 1 to {MOST}.")
        if not 1 <= int(given) <= MOST:
            raise _wrong("limit", f"The parameter limit is {given}. Accepted: 1 to {MOST}.")
        return int(given)

    def place(self, name: str, *, is_ours: bool) -> str:
        """`after` or `before`; `is_ours`: whether its value, where given, is a place."""
        given = self.query.get(name, "")
        if given and not is_ours:
            raise _wrong(
                name, f"The parameter {name} is no place in this list. Follow next and previous."
            )
        return given

    def link(self, **changes: str) -> str | None:
        """The address of another page of the same list; None without a place to begin at."""
        if not any(changes.values()):
            return None
        values = {name: value for name, value in self.query.items() if name not in PAGING[:2]}
        return f"{self._path}?{urlencode(values | changes)}"


def _wrong(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, parameter=name[:100])
