"""Policies as CSV and JSON, streamed: what is filtered, whatever its number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import QuerySet

from policies import spreadsheet
from policies.models import PolicyRecord
from policies.socketmap.reply import reply

FIELDS = (
    "domain", "inserted", "valid_end", "last_update", "last_use", "backoff", "record_id",
    "version", "mode", "mx", "max_age", "extensions", "policy_text", "refresh_due",
)  # fmt: skip
"""The fields of a policy that scripts see, by name."""

CHUNK = 2000


def as_object(record: PolicyRecord) -> dict[str, Any]:
    """The row's fields by name; times in ISO 8601, UTC."""
    values = {name: getattr(record, name) for name in FIELDS}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def json_lines(records: QuerySet[PolicyRecord]) -> Iterator[str]:
    """One JSON object a line."""
    for record in records.iterator(chunk_size=CHUNK):
        yield json.dumps(as_object(record)) + "\n"


def csv_lines(records: QuerySet[PolicyRecord]) -> Iterator[str]:
    """A head and a line for each; lists are in JSON."""
    rows = (map(_text, as_object(each).values()) for each in records.iterator(chunk_size=CHUNK))
    return spreadsheet.lines(chain([FIELDS], rows))


def postfix_map(records: QuerySet[PolicyRecord], now: datetime) -> Iterator[str]:
    """A `texthash:` table for `smtp_tls_policy_maps`: what Postfix would be answered now.

    Only policies in force have a line. Nothing in it ends or changes by itself.
    """
    yield f"# MTA-STS policies at {now:%Y-%m-%d %H:%M} UTC. They end, and this file does not.\n"
    enforced = records.filter(mode=PolicyRecord.Mode.ENFORCE, backoff=False, valid_end__gt=now)
    for record in enforced.iterator(chunk_size=CHUNK):
        policy = record.policy
        if policy is None:
            continue
        name = record.name
        answer = reply(policy, name, tlsrpt=False, policy_text="", edited=False).decode("ascii")
        status, _, entry = answer.partition(" ")
        if status == "OK":
            yield f"{name.ascii} {entry}\n"
        else:
            yield f"# {name.ascii}: {entry}\n"


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
