"""`manage.py mtasts exception …`: exceptions from the command line.

Whoever may run commands may do all that an administrator may.
"""

from __future__ import annotations

import getpass
import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import OutputWrapper
from django.utils import timezone

from policies import exceptions
from policies.models import PolicyException
from policies.socketmap.exceptions import Action, Level, Refused, Rule, Scope
from policies.socketmap.exceptions.checking import (
    ALL,
    LONGEST_PAUSE,
    TEXT_LIMIT,
    split_match,
    target,
)
from policies.socketmap.exceptions.tables import Line, read, write

EX_MISSING = 1
EX_WRONG = 2
EX_USAGE = 64
EX_DATA = 65

DAYS = exceptions.DEFAULT_LIFE.days
TABLE_LIMIT = 10_000_000
"""Bytes of a table that is read."""


class Exceptions:
    """The actions; each returns an exit status."""

    def __init__(self, out: OutputWrapper, err: OutputWrapper) -> None:
        self._out, self._err = out, err

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        for name, run, words in (
            ("add", self.add, "make one; it counts within a second"),
            ("remove", self.remove, "end one now"),
            ("list", self.show, "those that are active or coming"),
            ("export", self.export, "as a table for smtp_tls_policy_maps"),
            ("import", self.import_, "from such a table: all of it, or nothing"),
        ):
            action = actions.add_parser(name, help=words)
            action.set_defaults(run=run)
            if name != "export":
                action.add_argument("--json", action="store_true", help="one JSON object a line")
            if name in {"add", "remove"}:
                _add_target(action)
            if name == "add":
                _add_rule(action)
            if name in {"add", "import"}:
                _add_words(action, is_import=name == "import")
            if name == "import":
                action.add_argument("file", type=_text_of_file(TABLE_LIMIT), metavar="FILE")
                action.add_argument("--dry-run", action="store_true", help="say what would be done")
                action.add_argument(
                    "--rest", action="store_true", help="import the rest where lines are refused"
                )
            if name == "list":
                action.add_argument("--all", action="store_true", help="those that ended as well")

    def add(
        self,
        domain: str | None,
        mx: str | None,
        action: str,
        *,
        everything: bool,
        days: float | None,
        hours: float | None,
        no_end: bool,
        since: datetime | None,
        policy: str | None,
        level: str | None,
        match: list[str] | None,
        json: bool,
        **options: Any,
    ) -> int:
        found = self._target(domain, mx, everything=everything)
        if isinstance(found, int):
            return found
        now = timezone.now()
        begin = since or now
        life = timedelta(days=days or 0, hours=hours or 0) if days or hours else None
        rule = Rule(
            *found,
            Action(action),
            begin,
            None if no_end else begin + (life or _default_life(found[0])),
            reason=options["reason"],
            owner=options["owner"] or _login(),
            policy_text=policy or "",
            level=Level(level) if level else None,
            match=split_match(" ".join(match or ())),
        )
        if problem := _left_over(rule):
            return self._wrong(problem)
        try:
            row = exceptions.add(rule, ALL, None, now)
        except Refused as refused:
            return self._refused(refused)
        self._tell(row, now, as_json=json)
        return 0

    def remove(
        self, domain: str | None, mx: str | None, *, everything: bool, json: bool, **_: Any
    ) -> int:
        found = self._target(domain, mx, everything=everything)
        if isinstance(found, int):
            return found
        scope, name = found
        now = timezone.now()
        row = exceptions.unended(now).filter(scope=scope, target=name).first()
        if row is None or not exceptions.end(row, None, now):
            self._err.write(f"There is no exception for {name or 'everything'}.")
            return EX_MISSING
        self._tell(row, now, as_json=json)
        return 0

    def show(self, *, all: bool, json: bool, **_: Any) -> int:  # noqa: A002 - the option's name
        now = timezone.now()
        rows = PolicyException.objects.all() if all else exceptions.unended(now)
        for row in rows.order_by("-ended", "scope", "target", "pk").iterator(chunk_size=2000):
            self._tell(row, now, as_json=json)
        return 0

    def export(self, **_: Any) -> int:
        now = timezone.now()
        table = "".join(write(exceptions.current(now).all, now))
        self._out.write(table.removesuffix("\n"))
        return 0

    def import_(
        self, file: str, *, days: float | None, no_end: bool, dry_run: bool, rest: bool,
        json: bool, **options: Any,
    ) -> int:  # fmt: skip
        now = timezone.now()
        until = None if no_end else now + timedelta(days=days or DAYS)
        like = Rule(
            Scope.DOMAIN, "", Action.SKIP, now, until,
            reason=options["reason"], owner=options["owner"] or _login(),
        )  # fmt: skip
        lines = exceptions.without_those_that_exist(read(file, like, ALL), now)
        rules = [line.rule for line in lines if line.rule]
        refused = len(lines) - len(rules)
        for line in lines:
            self._tell_line(line, as_json=json)
        if dry_run or (refused and not rest):
            said = "Nothing was imported" + (": give --rest to leave out what is refused"
                                             if refused and not dry_run else "")  # fmt: skip
            self._err.write(f"{said}. {len(rules)} could be, {refused} refused.")
            return EX_DATA if refused else 0
        try:
            exceptions.add_checked(rules, None, now)
        except Refused as error:  # somebody was quicker
            return self._refused(error)
        self._err.write(f"{len(rules)} imported, {refused} refused.")
        return EX_DATA if refused else 0

    def _target(
        self, domain: str | None, mx: str | None, *, everything: bool
    ) -> tuple[Scope, str] | int:
        given = [each for each in (domain, mx, "everything" if everything else None) if each]
        if len(given) != 1:
            return self._wrong("Give one of DOMAIN (or .SUFFIX), --mx PATTERN and --everything.")
        scope = (
            Scope.EVERYTHING if everything
            else Scope.MX if mx is not None
            else Scope.SUFFIX if str(domain).startswith(".")
            else Scope.DOMAIN
        )  # fmt: skip
        try:
            return scope, target(scope, "" if everything else given[0])
        except ValueError as error:
            self._err.write(f"{given[0][:100]!r} is no domain name: {error}")
            return EX_USAGE

    def _tell(self, row: PolicyException, now: datetime, *, as_json: bool) -> None:
        if as_json:
            self._out.write(_dumped(as_object(row, now)))
            return
        self._out.write(
            f"{row.target or 'everything'}: {row.state(now)}, {exceptions.said(row)}"
            f" (used {row.uses} times)"
        )

    def _tell_line(self, line: Line, *, as_json: bool) -> None:
        if as_json:
            action = str(line.rule.action) if line.rule else None
            told = {"line": line.number, "text": line.text, "action": action}
            self._out.write(_dumped(told | {"error": line.problem or None}))
        else:
            said = f"refused: {line.problem}" if line.problem else "taken"
            self._out.write(f"line {line.number}: {line.text}: {said}")

    def _refused(self, refused: Refused) -> int:
        for name, problem in refused.problems.items():
            self._err.write(f"{name.replace('_', ' ')}: {problem}")
        return EX_WRONG

    def _wrong(self, problem: str) -> int:
        self._err.write(problem)
        return EX_WRONG


def as_object(row: PolicyException, now: datetime) -> dict[str, Any]:
    """An exception as JSON has it."""
    return {
        "id": row.pk,
        "scope": row.scope,
        "target": row.target,
        "action": row.action,
        "state": row.state(now),
        "policy_text": row.policy_text,
        "level": row.level,
        "match": row.match,
        "reason": row.reason,
        "owner": row.owner,
        "since": _iso(row.since),
        "until": _iso(row.until),
        "ended": _iso(row.ended),
        "uses": row.uses,
        "last_use": _iso(row.last_use),
    }


def _add_target(action: ArgumentParser) -> None:
    action.add_argument("domain", nargs="?", metavar="DOMAIN", help="or .SUFFIX for all below it")
    action.add_argument("--mx", metavar="PATTERN", help="all policies with such an mx, or below *.")
    action.add_argument("--everything", action="store_true", help="pause all enforcement")


def _add_rule(action: ArgumentParser) -> None:
    action.add_argument("--action", default="skip", choices=list(map(str, Action)))
    action.add_argument("--hours", type=_positive, metavar="N", help="how long")
    action.add_argument("--since", type=_moment, metavar="TIME", help="from then on, in UTC")
    action.add_argument(
        "--policy", type=_text_of_file(TEXT_LIMIT + 1), metavar="FILE", help="the text of a pin"
    )
    action.add_argument("--level", choices=list(map(str, Level)), help="of a requirement")
    action.add_argument("--match", nargs="+", metavar="P", help="names for the level secure")


def _add_words(action: ArgumentParser, *, is_import: bool) -> None:
    action.add_argument("--reason", required=not is_import, default="Imported from a table.")
    action.add_argument("--owner", default="", help="who answers for it; else who runs this")
    life = action.add_mutually_exclusive_group()
    life.add_argument("--days", type=_positive, metavar="N", help=f"how long; else {DAYS}")
    life.add_argument("--no-end", action="store_true", help="until it is removed")


def _default_life(scope: Scope) -> timedelta:
    return LONGEST_PAUSE if scope is Scope.EVERYTHING else exceptions.DEFAULT_LIFE


def _left_over(rule: Rule) -> str:
    """An option that would be ignored."""
    if rule.policy_text and rule.action is not Action.PIN:
        return "--policy belongs to --action pin."
    if (rule.level or rule.match) and rule.action is not Action.REQUIRE:
        return "--level and --match belong to --action require."
    return ""


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return "the command line"


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100_000:
        raise ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: expected a time such as 2026-03-01T12:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text_of_file(limit: int) -> Callable[[str], str]:
    def read_file(path: str) -> str:
        try:
            with Path(path).open("rb") as file:
                data = file.read(limit + 1)
            text = data.decode()
        except OSError as error:
            raise ArgumentTypeError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ArgumentTypeError(f"{path}: expected text in UTF-8") from error
        if len(data) > limit:
            raise ArgumentTypeError(f"{path}: expected at most {limit:,} bytes")
        return text

    return read_file


def _dumped(members: dict[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=True)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
