"""Trouble ahead: what will go wrong with mail, before it does, ranked by our own traffic.

Read when a page asks, by indexes that hold little but what is wrong, so that it costs what there
is of trouble and not what there is of policies.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Sum, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from policies import exceptions
from policies.alerts import texts
from policies.check.mailhosts import judge
from policies.models import MXCheck, Outcome, PolicyRecord, Probe
from policies.models.policy import NEVER, certificate_begin
from policies.mtasts import Mode, parse_domain
from policies.mtasts.mxfit import FORETELLS, Finding, Fit, MailHost, Named, compare
from policies.socketmap.exceptions import Action, Rule, Rules
from policies.tlsrpt import advice

Rank = tuple[int, float, str, str]
"""What entries are in the order of."""

IN_USE = timedelta(days=30)
"""Policies that no mail server asked for in so long are no trouble."""

RANKED_BY = timedelta(days=7)
"""Lookups of mail servers within so long make the rank."""

CERTIFICATE_AHEAD = timedelta(days=14)
"""Certificates that end within so long …"""

CERTIFICATE_LIFE = 2 / 3
"""… and are past so much of their life: one made for a week is renewed within it."""

FAILED = 3
"""Refreshes that failed in a row, half an hour of them: fewer are no trouble yet."""

KNOWN_FOR = timedelta(days=3)
"""How long what DNS said of mail hosts counts: while it fails for us, nothing is foretold."""

SOON = timedelta(days=3)

EXCEPTION_AHEAD = timedelta(days=3)
"""Exceptions that end within so long."""

LIMIT = 5_000
"""Entries of one kind that are ranked. With more, something is wrong with all of them at once."""


class Kind(StrEnum):
    """What will happen. The values are those of the address and of the feed."""

    EXPIRES = "expires"
    CERTIFICATE = "certificate"
    MX = "mx"
    TESTING = "testing"
    EXCEPTION = "exception"


class Level(StrEnum):
    """How bad it is: the kind of its badge."""

    BAD = "bad"
    WARN = "warn"


TITLES = {
    Kind.EXPIRES: "policy expires",
    Kind.CERTIFICATE: "certificate ends",
    Kind.MX: "mail is deferred",
    Kind.TESTING: "would be deferred",
    Kind.EXCEPTION: "exception ends",
}


class Words(NamedTuple):
    """What will happen; `who` can mend it, by doing `todo`."""

    says: str
    who: str
    todo: str


class Trouble(NamedTuple):
    """Something that will go wrong.

    `at`: when; None where it does already. `words`: makes what is said of it, which all are ranked
    without. `lookups`: of mail servers, within `RANKED_BY`. `code`: what fails, as reports have it.
    """

    kind: Kind
    level: Level
    domain: str
    at: datetime | None
    words: Callable[[], Words]
    last_use: datetime | None = None
    lookups: int = 0
    code: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.kind]

    @property
    def says(self) -> str:
        return self.words().says

    @property
    def who(self) -> str:
        return self.words().who

    @property
    def todo(self) -> str:
        return self.words().todo

    @property
    def rank(self) -> Rank:
        """Sorts first what hits most mail."""
        used = (self.last_use or NEVER).timestamp()
        return (-self.lookups, -used, self.domain, self.kind)


@dataclass(frozen=True, slots=True)
class Found:
    """All there is, worst first. `capped`: kinds of which there is more than is ranked."""

    entries: tuple[Trouble, ...]
    capped: frozenset[Kind] = frozenset()

    def of(self, kind: str) -> tuple[Trouble, ...]:
        """Those of one kind; all of them for an empty one."""
        return tuple(each for each in self.entries if not kind or each.kind == kind)

    def count(self, kind: Kind) -> int:
        return len(self.of(kind))


def found(now: datetime) -> Found:
    """All trouble that is known of now: one query for each source, one for the ranks."""
    groups = {
        Kind.EXPIRES: _expiring(now),
        Kind.CERTIFICATE: _certificates(now),
        **_misfits(now),
        Kind.EXCEPTION: _exceptions(now),
    }
    entries = [each for group in groups.values() for each in group[:LIMIT]]
    lookups = _lookups({each.domain for each in entries}, now)
    ranked = [each._replace(lookups=lookups.get(each.domain, each.lookups)) for each in entries]
    capped = frozenset(kind for kind, group in groups.items() if len(group) > LIMIT)
    return Found(tuple(sorted(ranked, key=lambda each: each.rank)), capped)


MILD = (Kind.TESTING, Kind.EXCEPTION)
"""What hits no mail by itself."""


def lines(now: datetime) -> list[str]:
    """A line for each entry that will hit mail, worst first: for the daily mail, which has ends of
    exceptions by itself."""
    return [_line(each) for each in found(now).entries if each.kind not in MILD]


def _line(entry: Trouble) -> str:
    when = f" {entry.at:%Y-%m-%d %H:%M} UTC" if entry.at else ""
    asked = f", {entry.lookups} lookups in {RANKED_BY.days} days" if entry.lookups else ""
    why = f": {entry.code}" if entry.code else ""
    return f"{texts.a_label(entry.domain)}: {entry.title}{when}{asked}{why}"


def _lookups(domains: set[str], now: datetime) -> dict[str, int]:
    since = (now - RANKED_BY).astimezone(UTC).date()
    # By the index of sources, SQLite would read the lookups of all domains.
    rows = Outcome.objects.alias(bare_source=Coalesce("source", Value(""))).filter(
        domain__in=domains, day__gte=since, kind=Outcome.Kind.DOMAIN,
        bare_source=Outcome.Source.LOOKUP,
    )  # fmt: skip
    return dict(rows.order_by().values_list("domain").annotate(Sum("count")))


def _expiring(now: datetime) -> list[Trouble]:
    """Policies whose refresh fails, those that end soonest first."""
    # As a number in the statement: with a parameter SQLite does not see what the index holds.
    some = RawSQL("0", ())
    rows = PolicyRecord.objects.filter(
        failures__gt=some, valid_end__gt=now, backoff=False, last_use__gte=now - IN_USE
    ).exclude(mode=PolicyRecord.Mode.NONE)
    failing = rows.filter(failures__gte=FAILED).order_by("valid_end")
    found = failing.values_list(*_Failing._fields)[: LIMIT + 1]
    return [_expires(_Failing._make(row), now) for row in found]


class _Failing(NamedTuple):
    """Columns of a policy whose refresh fails. Of hundreds, rows take three times as long."""

    domain: str
    mode: str
    valid_end: datetime
    last_use: datetime
    failures: int
    failure_type: str
    failure_reason: str
    outcome_failure: str
    outcome_reason: str


def _expires(row: _Failing, now: datetime) -> Trouble:
    kind, reason = row.failure_type, row.failure_reason
    if not kind:
        kind, reason = row.outcome_failure, row.outcome_reason
    enforced = row.mode == PolicyRecord.Mode.ENFORCE
    return Trouble(
        kind=Kind.EXPIRES,
        level=Level.BAD if enforced and row.valid_end - now < SOON else Level.WARN,
        domain=row.domain,
        at=row.valid_end,
        words=partial(_expiry_words, row, kind, reason),
        last_use=row.last_use,
        code=": ".join(filter(None, (kind, reason))),
    )


def _expiry_words(row: _Failing, kind: str, reason: str) -> Words:
    about = advice.advice(kind, reason)
    enforced = row.mode == PolicyRecord.Mode.ENFORCE
    ends = "mail goes out unprotected" if enforced else "nothing is tested any more"
    return Words(
        says=f"The policy ends, and {ends}: {row.failures} refreshes in a row have failed."
        f" {about.meaning}",
        who=str(about.who),
        todo=about.remedy,
    )


def _certificates(now: datetime) -> list[Trouble]:
    """Certificates of policy hosts that should have been renewed, the next to end first."""
    rows = PolicyRecord.objects.filter(
        certificate_end__gt=now - IN_USE, certificate_end__lte=now + CERTIFICATE_AHEAD,
        backoff=False, last_use__gte=now - IN_USE,
    ).exclude(mode=PolicyRecord.Mode.NONE)  # fmt: skip
    ending = rows.order_by("certificate_end").values_list(*_Certified._fields)[: 2 * LIMIT]
    found = map(_Certified._make, ending)
    return [_certificate(row, now) for row in found if _is_overdue(row, now)][: LIMIT + 1]


class _Certified(NamedTuple):
    """Columns of a policy whose host's certificate is known."""

    domain: str
    last_use: datetime
    certificate: dict[str, Any] | None
    certificate_end: datetime


def _is_overdue(row: _Certified, now: datetime) -> bool:
    begin = certificate_begin(row.certificate)
    if begin is None:
        return True
    return now - begin > (row.certificate_end - begin) * CERTIFICATE_LIFE


def _certificate(row: _Certified, now: datetime) -> Trouble:
    end = row.certificate_end
    return Trouble(
        kind=Kind.CERTIFICATE,
        level=Level.BAD if end - now < SOON else Level.WARN,
        domain=row.domain,
        at=end,
        words=partial(_certificate_words, row, is_over=end <= now),
        last_use=row.last_use,
    )


def _certificate_words(row: _Certified, *, is_over: bool) -> Words:
    issuer = (row.certificate or {}).get("issuer") or "an authority that it does not name"
    ends = "has ended" if is_over else "ends"
    return Words(
        says=f"The policy host's certificate, issued by {issuer}, {ends}. Refreshes"
        " fail from then on; the policy in the cache lives on until its own end.",
        who="the domain's operator",
        todo="Tell the domain's postmaster to renew the certificate of mta-sts."
        f"{parse_domain(row.domain).ascii} and to have its renewal watched.",
    )


def _misfits(now: datetime) -> dict[Kind, list[Trouble]]:
    """Policies that the mail hosts of their domains do not fit, by what comes of it."""
    foretold = MXCheck.objects.filter(foretells=True, checked_at__gte=now - KNOWN_FOR)
    checked = foretold.order_by("domain").values_list("domain", "named", "hosts")[: 2 * LIMIT]
    checks = {domain: _Hosts(named, hosts) for domain, named, hosts in checked}
    failing = Probe.objects.filter(fails=True, probed_at__gte=now - KNOWN_FOR)
    probes = dict(failing.order_by("domain").values_list("domain", "results")[: 2 * LIMIT])
    held = PolicyRecord.objects.filter(
        domain__in=[*checks, *probes], valid_end__gt=now, last_use__gte=now - IN_USE,
        backoff=False,
    ).exclude(mode=PolicyRecord.Mode.NONE)  # fmt: skip
    rows = [_Held._make(row) for row in held.order_by().values_list(*_Held._fields)]
    rules = exceptions.about([(row.ascii, row.mx) for row in rows], now) if rows else Rules([])
    found: dict[Kind, list[Trouble]] = {Kind.MX: [], Kind.TESTING: []}
    for row in rows:
        rule = rules.find(row.ascii, row.mx, now)
        mode = Mode(row.mode)
        if rule and rule.action is Action.ENFORCE and mode is Mode.TESTING:
            mode = Mode.ENFORCE
        each = _misfit(row, mode, checks.get(row.domain)) or _unverified(
            row, mode, probes.get(row.domain)
        )
        each = _excepted(each, rule) if each and rule else each
        if each is not None:
            found[each.kind].append(each)
    return found


class _Hosts(NamedTuple):
    """What an MX check found, as its row has it."""

    named: str
    hosts: list[tuple[int, str]]


class _Held(NamedTuple):
    """Columns of a policy in force and in use."""

    domain: str
    mode: str
    mx: list[str]
    last_use: datetime

    @property
    def ascii(self) -> str:
        return parse_domain(self.domain).ascii


def _excepted(trouble: Trouble, rule: Rule) -> Trouble | None:
    """What is left of it while Postfix does not go by the published policy: it comes at the end of
    the exception, and not at all where that has none."""
    if rule.action not in (Action.SKIP, Action.PIN):
        return trouble
    if rule.until is None:
        return None
    words = partial(_excepted_words, trouble.words, rule)
    return trouble._replace(level=Level.WARN, at=rule.until, words=words)


def _excepted_words(words: Callable[[], Words], rule: Rule) -> Words:
    now = f"Until then an exception makes Postfix {_MAKES[rule.action]} ({rule.reason})."
    later = words()
    return later._replace(says=f"{now} {later.says}")


def _misfit(row: _Held, mode: Mode, check: _Hosts | None) -> Trouble | None:
    """What has been mended since the check is none."""
    if check is None:
        return None
    fit = compare([MailHost(preference, name) for preference, name in check.hosts], row.mx)
    if fit.finding not in FORETELLS:
        return None
    return Trouble(
        kind=Kind.MX if mode is Mode.ENFORCE else Kind.TESTING,
        level=Level.BAD if fit.finding is Finding.NONE and mode is Mode.ENFORCE else Level.WARN,
        domain=row.domain,
        at=None,
        words=partial(_misfit_words, mode, Named(check.named), fit),
        last_use=row.last_use,
        code=str(fit.finding),
    )


def _misfit_words(mode: Mode, named: Named, fit: Fit) -> Words:
    judged = judge(mode, named, fit)
    return Words(
        says=f"{judged.said} What fits no pattern: {_listed(fit.misfits)}.",
        who=str(judged.advice.who) if judged.advice else "",
        todo=judged.advice.todo if judged.advice else "",
    )


def _unverified(row: _Held, mode: Mode, results: list[dict[str, Any]] | None) -> Trouble | None:
    """Mail hosts that fit, and that no certificate verifies. `results`: of a probe that failed."""
    if results is None:
        return None
    failed = [each for each in results if each["reason"] and each["is_definite"]]
    return Trouble(
        kind=Kind.MX if mode is Mode.ENFORCE else Kind.TESTING,
        level=Level.BAD if mode is Mode.ENFORCE else Level.WARN,
        domain=row.domain,
        at=None,
        words=partial(_unverified_words, mode, failed),
        last_use=row.last_use,
        code=failed[0]["reason"] if failed else "",
    )


def _unverified_words(mode: Mode, failed: list[dict[str, Any]]) -> Words:
    hosts = _listed([f"{each['host']} ({each['reason']})" for each in failed])
    said = "No mail host that fits the policy verifies when it is probed, so all mail is deferred."
    if mode is not Mode.ENFORCE:
        said = f"Mail goes out all the same while the policy is tested. If it were enforced: {said}"
    return Words(
        says=f"{said} {hosts}.",
        who="the domain's operator",
        todo="Tell the domain's postmaster: each mail host needs STARTTLS, and a certificate that"
        " leads to a trusted root and names the host (RFC 8461 section 4.2).",
    )


def _exceptions(now: datetime) -> list[Trouble]:
    """Exceptions that end before long. Their rank is by the replies given under them where they
    are about more than one domain."""
    ending = exceptions.ending_within(EXCEPTION_AHEAD, now).values_list(*_Ending._fields)
    return [
        Trouble(
            kind=Kind.EXCEPTION,
            level=Level.WARN,
            domain=row.target or "everything",
            at=row.until,
            words=partial(_ending_words, row),
            last_use=row.last_use,
            lookups=row.uses,
        )
        for row in map(_Ending._make, ending[: LIMIT + 1])
    ]


class _Ending(NamedTuple):
    """Columns of an exception that ends."""

    target: str
    action: str
    until: datetime
    owner: str
    reason: str
    last_use: datetime | None
    uses: int


def _ending_words(row: _Ending) -> Words:
    return Words(
        says=f"The exception that makes Postfix {_MAKES[Action(row.action)]} ends, and what the"
        " published policy says applies again.",
        who=f"you ({row.owner} made it)",
        todo=f"See whether its reason still stands, and prolong it if so: {row.reason}",
    )


_MAKES = {
    Action.SKIP: "skip the policy",
    Action.ENFORCE: "enforce what is only tested",
    Action.PIN: "go by a pinned policy",
    Action.REQUIRE: "require TLS",
}


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def after(entries: Iterable[Trouble], rank: Rank | None) -> list[Trouble]:
    """Those behind a rank, for whoever turns pages."""
    return [each for each in entries if rank is None or each.rank > rank]


def before(entries: Iterable[Trouble], rank: Rank) -> list[Trouble]:
    """Those ahead of a rank."""
    return [each for each in entries if each.rank < rank]


def cursor(entry: Trouble) -> str:
    """The place of an entry, for the addresses of the pages around it."""
    text = json.dumps(entry.rank, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def read_cursor(text: str) -> Rank | None:
    """From a query string; None for what is none of ours."""
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        lookups, used, domain, kind = found
    except (ValueError, TypeError, RecursionError):
        return None
    is_ours = isinstance(lookups, int) and isinstance(used, (int, float))
    if is_ours and isinstance(domain, str) and isinstance(kind, str):
        return lookups, used, domain, kind
    return None
