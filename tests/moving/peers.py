"""A cache as postfix-mta-sts-resolver keeps it, made by hand."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any


def fields(**changed: Any) -> dict[str, Any]:
    """A policy as it is there: all fields by name, `mx` first and a list, `max_age` a number."""
    return {
        "mx": ["mx.example.org", "*.example.net"],
        "version": "STSv1",
        "mode": "enforce",
        "max_age": 604_800,
        **changed,
    }


def make_cache(path: Path, rows: list[tuple[object, object, object, object]]) -> Path:
    """`rows`: domain, time (datetime, or what stands there), record id, fields (or text)."""
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("create table proactive_fetch_ts (id integer primary key, last_fetch_ts)")
        opened.execute("create table sts_policy_cache (domain text, ts, pol_id text, pol_body)")
        for domain, at, record_id, body in rows:
            ts = int(at.timestamp()) if isinstance(at, datetime) else at
            text = json.dumps(body) if isinstance(body, dict) else body
            opened.execute(
                "insert into sts_policy_cache values (?, ?, ?, ?)", (domain, ts, record_id, text)
            )
    return path
