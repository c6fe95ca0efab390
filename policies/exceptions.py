"""Exceptions as they are stored: made, changed, ended, found and counted.

The only writer of `PolicyException`. The socketmap server learns of each change by the database's
triggers (`policies.changes`), whoever makes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q, QuerySet

from policies import audit
from policies.models import PolicyException
from policies.mtasts import DomainNameError, parse_domain
from policies.socketmap.exceptions import Powers, Refused, Rule, Rules, Scope, check
from policies.socketmap.exceptions.index import mx_targets, parents
from policies.socketmap.exceptions.tables import Line

log = logging.getLogger(__name__)

DEFAULT_LIFE = timedelta(days=7)
SOON = timedelta(days=1)
"""How long before its end an exception is announced to end."""

BATCH = 500
"""Rows written at a time."""

KEPT = timedelta(days=400)
"""How long one that has ended is kept: as long as an alert. The audit log knows of it longer."""

ANOTHER = "There is an exception for this already: change that one, or end it."
ENDED = "Somebody has ended or deleted it meanwhile. Nothing was changed: make another."

_SAID = (
    "scope", "target", "action", "policy_text", "level", "match", "reason", "owner", "since",
    "until",
)  # fmt: skip
"""What an exception says; all else in a row is what became of it, and others write that."""


def add(rule: Rule, powers: Powers, by: Any, now: datetime) -> PolicyException:
    """A new exception, checked and logged. `by`: a user, None for the command line.

    Raises Refused, and stores nothing then.
    """
    return add_all([rule], powers, by, now)[0]


def add_all(rules: Sequence[Rule], powers: Powers, by: Any, now: datetime) -> list[PolicyException]:
    """New exceptions, all of them or, raising Refused, none."""
    return add_checked([check(rule, powers) for rule in rules], by, now)


def add_checked(rules: Sequence[Rule], by: Any, now: datetime) -> list[PolicyException]:
    """The same of rules that `check` has passed already, such as those of a table's lines.

    In a few statements, however many they are: the socketmap writes to the same database.
    """
    rows = [_say(PolicyException(), _not_over(rule, now)) for rule in rules]
    try:
        with transaction.atomic():
            close_lapsed(now)  # those whose end has passed make room
            PolicyException.objects.bulk_create(rows, batch_size=BATCH)
            audit.log_each(by, [(row, said(row)) for row in rows], ADDITION)
    except IntegrityError as error:
        raise Refused({"target": ANOTHER}) from error
    return rows


def change(row: PolicyException, rule: Rule, powers: Powers, by: Any, now: datetime) -> None:
    """Have an exception say something else. Raises Refused."""
    with transaction.atomic():
        store(row, rule, powers, now)
        audit.log(by, [row], CHANGE, said(row))


def store(row: PolicyException, rule: Rule, powers: Powers, now: datetime) -> PolicyException:
    """Write what `rule` says into `row`, new or not; for those who log by themselves.

    Raises Refused, also where its target has another exception, and where `row` has ended or is
    deleted meanwhile.
    """
    checked = _checked(rule, powers, now)
    same = PolicyException.objects.filter(
        scope=checked.scope, target=checked.target, ended=None
    ).exclude(pk=row.pk)
    _say(row, checked)
    try:
        with transaction.atomic():
            _close(same, now)
            if row.pk is None:
                row.save()
            elif not PolicyException.objects.filter(pk=row.pk, ended=None).update(
                **{name: getattr(row, name) for name in _SAID}
            ):
                raise Refused({"target": ENDED})
    except IntegrityError as error:
        raise Refused({"target": ANOTHER}) from error
    return row


def _checked(rule: Rule, powers: Powers, now: datetime) -> Rule:
    return _not_over(check(rule, powers), now)


def _not_over(checked: Rule, now: datetime) -> Rule:
    if checked.until is not None and checked.until <= now:
        raise Refused({"until": "The end lies in the past."})
    return checked


def _say(row: PolicyException, checked: Rule) -> PolicyException:
    """Put what a rule says into a row, which is not written yet."""
    row.scope, row.target, row.action = checked.scope, checked.target, checked.action
    row.policy_text, row.level = checked.policy_text, checked.level or ""
    row.match, row.reason, row.owner = list(checked.match), checked.reason, checked.owner
    row.since, row.until = checked.since, checked.until
    return row


def without_those_that_exist(lines: Iterable[Line], now: datetime) -> list[Line]:
    """The lines of a table, those refused as well whose target has an exception already."""
    lines = list(lines)
    existing = set(unended(now).values_list("scope", "target"))
    return [
        replace(line, rule=None, problem=ANOTHER)
        if line.rule and (line.rule.scope, line.rule.target) in existing
        else line
        for line in lines
    ]


def end(row: PolicyException, by: Any, now: datetime) -> bool:
    """End an exception; False where it has ended already."""
    with transaction.atomic():
        ended = PolicyException.objects.filter(pk=row.pk, ended=None).update(ended=now)
        if ended:
            row.ended = now
            audit.log(by, [row], DELETION, f"Ended: {said(row)}")
    return bool(ended)


def close_lapsed(now: datetime) -> int:
    """Mark those whose end has passed as ended; how many they were. Nothing else follows from it:
    an exception is over at its end, whether or not this runs."""
    return _close(PolicyException.objects.filter(ended=None), now)


def prune(now: datetime) -> None:
    """Forget what ended long ago, or as much as goes at once: the rest goes with the next call."""
    over = PolicyException.objects.filter(ended__lt=now - KEPT).order_by("ended", "pk")
    if chosen := list(over.values_list("pk", flat=True)[:BATCH]):
        PolicyException.objects.filter(pk__in=chosen).delete()


def _close(rows: QuerySet[PolicyException], now: datetime) -> int:
    return rows.filter(until__lte=now).update(ended=F("until"))


def unended(now: datetime) -> QuerySet[PolicyException]:
    """Those that are active or coming."""
    return PolicyException.objects.filter(Q(until=None) | Q(until__gt=now), ended=None)


def active(now: datetime) -> QuerySet[PolicyException]:
    """Those that count now."""
    return unended(now).filter(since__lte=now)


def own_domains(now: datetime) -> QuerySet[PolicyException, Any]:
    """The domains that active exceptions name, as rows name them; the others are about many."""
    return active(now).filter(scope=Scope.DOMAIN).order_by().values("target")


def ending_within(span: timedelta, now: datetime) -> QuerySet[PolicyException]:
    """Active ones that end by themselves within `span`, the first to end first."""
    return active(now).filter(until__lte=now + span).order_by("until", "pk")


def current(now: datetime) -> Rules:
    """All that are active or coming. What is in a row past all checks is logged and left out."""
    return rules(unended(now))


def about(names: Iterable[tuple[str, Iterable[str]]], now: datetime) -> Rules:
    """Those that may count for these domains: A-label names, each with its mx patterns.

    One query, found by an index.
    """
    domains, suffixes, patterns = set[str](), set[str](), set[str]()
    for name, mx in names:
        domains.add(_as_stored(name))
        suffixes.update(f".{_as_stored(parent)}" for parent in parents(name))
        patterns.update(mx_targets(mx))
    wanted = (
        Q(scope=Scope.DOMAIN, target__in=domains)
        | Q(scope=Scope.SUFFIX, target__in=suffixes)
        | Q(scope=Scope.MX, target__in=patterns)
        | Q(scope=Scope.EVERYTHING)
    )
    return rules(unended(now).filter(wanted))


def pause(now: datetime) -> PolicyException | None:
    """The exception that pauses all enforcement now, if there is one."""
    paused = PolicyException.objects.filter(scope=Scope.EVERYTHING, target="", ended=None)
    return paused.filter(since__lte=now, until__gt=now).first()


def rules(rows: Iterable[PolicyException]) -> Rules:
    """What these rows say."""
    found = []
    for row in rows:
        try:
            found.append(check(replace(row.rule, owner=row.owner or "-", reason=row.reason or "-")))
        except (ValueError, TypeError) as error:
            log.error(
                "an exception is no valid one and does not count",
                extra={"id": row.pk, "error": str(error)},
            )
    return Rules(found)


def note_uses(uses: Mapping[int, int], at: datetime) -> None:
    """Count replies given under exceptions, by their ids. The latest use never moves back."""
    latest = "GREATEST" if connection.vendor == "postgresql" else "MAX"
    statement = f"""UPDATE policies_policyexception SET uses = uses + %s,
        last_use = {latest}(COALESCE(last_use, %s), %s) WHERE id = %s"""  # noqa: S608 - of ours
    moment = connection.ops.adapt_datetimefield_value(at)
    ids = sorted(uses)  # all writers go through the rows in the same order
    # All or none: what fails is counted again.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(statement, [(uses[id_], moment, moment, id_) for id_ in ids])


def said(row: PolicyException) -> str:
    """What an exception says, in one line for the log."""
    until = f"until {row.until:%Y-%m-%d %H:%M} UTC" if row.until else "without end"
    more = f" {row.level} {':'.join(row.match)}".rstrip() if row.level else ""
    start = f" from {row.since:%Y-%m-%d %H:%M} UTC" if row.since > row.created else ""
    return f"{row.action}{more}{start} {until}, for {row.owner}: {row.reason}"


def _as_stored(name: str) -> str:
    try:
        return parse_domain(name).unicode
    except DomainNameError:  # a top-level domain of digits, as part of a name that nobody has
        return name
