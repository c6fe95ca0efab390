"""`manage.py mtasts …`: the cache from the command line.

Answers go to standard output, one a line; with `--json` as objects (docs/commands.md). Exit
status: 0; 75 where there is no answer for now, or a refetch failed; 64 for a name that is no
domain; 2 for usage.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.contrib.admin.models import CHANGE
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError
from django.utils import timezone

from policies import audit, cache, exports, fetches, mxcheck, occupancy, outcomes, refresh, schema
from policies.management import moving
from policies.management.exceptions import Exceptions
from policies.management.looking_back import LookingBack
from policies.models import Fetch, PolicyRecord
from policies.mtasts import Domain, Policy, parse_domain
from policies.mtasts.errors import DomainNameError

EX_USAGE = 64
EX_TEMPFAIL = 75


class Command(BaseCommand):
    help = "Look at the policy cache, ask it, and have it fetch."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, run, words in (
            ("get", self.get, "what a mail server's lookup does; counts as use"),
            ("list", self.show, "cached policies, last use first"),
            ("refetch", self.refetch, "look at DNS and fetch now, whatever is cached"),
            ("refresh", self.refresh, "one round of the periodic refresh of all that is due"),
            ("report", self.report, "the TLS report (RFC 8460) of a UTC day, as JSON"),
            ("import", self.bring_in, "domains and policies from elsewhere"),
            ("export", self.export, "all that is cached, as JSON or as a table for Postfix"),
        ):
            action = actions.add_parser(name, help=words)
            action.set_defaults(run=run)
            action.add_argument("--json", action="store_true", help="print JSON, one object a line")
            if name in {"get", "refetch"}:
                action.add_argument("domains", nargs="+", metavar="DOMAIN")
            if name == "list":
                action.add_argument("--mode", choices=PolicyRecord.Mode.values)
                action.add_argument("--limit", type=_limit, metavar="N")
            if name == "import":
                moving.add_import(action)
            if name == "export":
                moving.add_export(action)
            if name == "report":
                action.add_argument("--day", type=_day, metavar="YYYY-MM-DD", help="else today")
                action.add_argument("--domain", metavar="D", help="of this policy domain alone")
        looking_back = LookingBack(self)
        looking_back.add_history(
            actions.add_parser("history", help="versions of a domain's policy, newest first")
        )
        looking_back.add_alerts(
            actions.add_parser("alerts", help="open alerts on policies that vanish or weaken")
        )
        exception = actions.add_parser("exception", help="what Postfix is told instead of policies")
        Exceptions(self.stdout, self.stderr).add_arguments(exception)

    def handle(self, *args: Any, **options: Any) -> None:
        occupancy.share()
        schema.check()
        try:
            status = options["run"](**options)
        except DatabaseError as error:
            self.stderr.write(f"The database does not answer: {error}")
            status = EX_TEMPFAIL
        if status:
            sys.exit(status)

    def get(self, domains: list[str], *, json: bool, **_: Any) -> int:
        return max(self._get(domain, as_json=json) for domain in domains)

    def _get(self, domain: str, *, as_json: bool) -> int:
        try:
            name = parse_domain(domain)
        except DomainNameError as refused:
            return self._refuse(domain, refused)
        error: str | None = None
        try:
            policy, result, fresh = cache.get(name)
        except cache.TransientError as failure:
            policy, result, fresh = None, failure.result, False
            error = result.failures[0].reason_code
        if as_json:
            self._print_json(
                domain=name.ascii,
                policy=policy and policy_json(policy),
                fresh=fresh,
                result=result.to_json(),
                error=error,
            )
        else:
            words = policy.mode if policy else f"no answer for now ({error})" if error else "none"
            failures = "".join(f" [{failure}]" for failure in result.failures if not error)
            hosts = f" mx {' '.join(policy.mx)}" if policy and policy.mx else ""
            self.stdout.write(f"{name.ascii}: {words}{hosts}{failures}")
        return EX_TEMPFAIL if error else 0

    def show(self, *, mode: str | None, limit: int | None, json: bool, **_: Any) -> int:
        records = cache.policy_records()
        if mode:
            records = records.filter(mode=mode)
        for record in records[:limit].iterator(chunk_size=2000):
            if json:
                self._print_json(**exports.as_object(record))
            else:
                self.stdout.write(record_line(record))
        return 0

    def refetch(self, domains: list[str], *, json: bool, **_: Any) -> int:
        return max(self._refetch(domain, as_json=json) for domain in domains)

    def _refetch(self, domain: str, *, as_json: bool) -> int:
        try:
            name = parse_domain(domain)
        except DomainNameError as error:
            return self._refuse(domain, error)
        self._note_refetch(name)
        fetch = fetches.finish(fetches.started(name), cache.refetch(name))
        mxcheck.renew(name)
        if as_json:
            self._print_json(
                domain=name.ascii,
                outcome=fetch.outcome,
                changed=fetch.changed,
                error=fetch.failure_reason or fetch.failure_type or None,
            )
        else:
            notes = [
                fetch.get_outcome_display(),
                "text changed" if fetch.changed else "",
                fetch.failure,
            ]
            self.stdout.write(f"{name.ascii}: {', '.join(filter(None, notes))}")
        return EX_TEMPFAIL if fetch.outcome == Fetch.Outcome.FAILED else 0

    def _note_refetch(self, name: Domain) -> None:
        """In the log of what people did."""
        row = PolicyRecord.objects.defer("policy_text").filter(domain=name.unicode).first()
        if row is not None:
            audit.log(None, [row], CHANGE, audit.ASKED)
        else:
            audit.log_about(None, PolicyRecord, name.unicode, CHANGE, audit.ASKED)

    def refresh(self, *, json: bool, **_: Any) -> int:
        counts = refresh.run()
        if json:
            self._print_json(**vars(counts))
        else:
            self.stdout.write(str(counts))
        return 0

    def report(self, day: date | None, domain: str | None, **_: Any) -> int:
        try:
            name = parse_domain(domain) if domain is not None else None
        except DomainNameError as error:
            return self._refuse(domain or "", error)
        for chunk in outcomes.report(day or timezone.now().date(), name):
            self.stdout.write(chunk, ending="")
        return 0

    def bring_in(
        self, source: str, file: Path, *, yes: bool, rate: int, json: bool, **_: Any
    ) -> int:
        return moving.run_import(
            self.stdout, self.stderr, source=source, file=file, yes=yes, rate=rate, as_json=json
        )

    def export(self, format: str, **_: Any) -> int:  # noqa: A002 - the argument's name
        return moving.run_export(self.stdout, format_=format)

    def _refuse(self, domain: str, error: DomainNameError) -> int:
        self.stderr.write(f"{domain[:100]!r} is no domain name: {error}")
        return EX_USAGE

    def _print_json(self, **members: Any) -> None:
        self.stdout.write(json.dumps(members, ensure_ascii=True))


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number from 1")
    return int(text)


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: expected a day such as 2026-03-01") from error


def policy_json(policy: Policy) -> dict[str, Any]:
    return {
        "version": policy.version,
        "mode": str(policy.mode),
        "max_age": policy.max_age,
        "mx": [str(pattern) for pattern in policy.mx],
        "extensions": [list(pair) for pair in policy.extensions],
    }


def record_line(record: PolicyRecord) -> str:
    """For the eye: domain, mode, last use, validity."""
    mode = "fetch failed, backing off" if record.backoff else record.mode
    used = f"{record.last_use:%Y-%m-%d %H:%M}" if record.last_use else "never"
    columns: Iterable[str] = (
        record.name.ascii,
        mode,
        f"used {used}",
        f"valid until {record.valid_end:%Y-%m-%d %H:%M}",
        f"id {record.record_id or '-'}",
        " ".join(record.mx),
    )
    return "  ".join(filter(None, columns))
