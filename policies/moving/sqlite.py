"""The SQLite cache of postfix-mta-sts-resolver.

A row has the domain, a time, the record id and the policy's fields as JSON, but not its text. The
time is that of the last fetch, or of a later look at DNS that found the id unchanged.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policies.moving.found import Bad, Found, Held, Unreadable
from policies.mtasts import DomainNameError, Policy, parse_domain, parse_policy
from policies.mtasts.errors import PolicySyntaxError

_QUERY = "SELECT rowid, domain, ts, pol_id, pol_body FROM sts_policy_cache ORDER BY rowid"
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def sts_resolver_cache(path: Path) -> Iterator[Found | Bad]:
    """Its rows. The file is only read. Raises Unreadable."""
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as opened:
            for rowid, *columns in opened.execute(_QUERY):
                try:
                    yield _found(*columns)
                except ValueError as error:
                    yield Bad(f"row {rowid}", str(error))
    except sqlite3.Error as error:
        raise Unreadable(f"{path} is no cache of postfix-mta-sts-resolver: {error}.") from error


def _found(domain: Any, ts: Any, record_id: Any, body: Any) -> Found:
    """Raises ValueError."""
    try:
        name = parse_domain(str(domain))
    except DomainNameError as error:
        raise ValueError(f"{str(domain)[:100]!r} is no domain name: {error}") from None
    if not _ID.fullmatch(str(record_id)):
        raise ValueError(f"{name.ascii}: {str(record_id)[:100]!r} is no record id")
    try:
        fetched = datetime.fromtimestamp(int(ts), UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError(f"{name.ascii}: {str(ts)[:100]!r} is no time") from None
    try:
        policy = _policy(body)
    except ValueError as error:
        raise ValueError(f"{name.ascii}: {error}") from None
    return Found(name, Held(policy, str(record_id), fetched))


def _policy(body: Any) -> Policy:
    """The policy whose fields are in this JSON, held to the grammar. Raises ValueError."""
    try:
        fields = json.loads(body)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("its policy is no JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("mx"), list):
        raise ValueError("its policy has no fields")
    pairs = [("mx", pattern) for pattern in fields.pop("mx")] + list(fields.items())
    text = ""
    for name, value in pairs:
        if not isinstance(value, str | int) or _CONTROL.search(f"{name}{value}"):
            raise ValueError(f"its policy has a wrong value of {name[:32]!r}")
        text += f"{name}: {value}\n"
    try:
        return parse_policy(text)
    except PolicySyntaxError as error:
        raise ValueError(f"its policy is none by RFC 8461: {error.problem}") from None
