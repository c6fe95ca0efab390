"""Lookups counted, until they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from typing import NamedTuple

from policies.cache import Use
from policies.outcomes import Seen
from policies.socketmap.server.memory import Ready
from policies.tlsrpt.result import Result


class Key(NamedTuple):
    """Lookups of a domain that ended alike, on one day. `has_row`: and are uses of its row."""

    day: date
    domain: str
    has_row: bool
    result: Result
    is_resolvers: bool


class Batch(NamedTuple):
    """Some of the lookups: of domains that have rows, and the others."""

    keys: list[Key]
    uses: list[Use]
    seen: list[Seen]


class Tally:
    """At most one entry for each domain and way to end, so bounded by what memory holds."""

    def __init__(self) -> None:
        self._uses: dict[Key, Use] = {}

    def add(self, hits: Iterable[tuple[Ready, int]], now: datetime) -> None:
        """So many lookups got this reply, the last of them by `now`."""
        for ready, number in hits:
            key = _key(ready, now.date())
            if key is None:
                continue
            use = self._uses.get(key)
            if use is None:
                self._uses[key] = Use(key.domain, now, key.result, number)
            else:
                self._uses[key] = replace(
                    use, at=now, count=use.count + number, first=use.first or use.at
                )

    def first(self, most: int) -> Batch | None:
        """Up to `most` entries; None where there are none."""
        keys = list(islice(self._uses, most))
        if not keys:
            return None
        return Batch(
            keys,
            [self._uses[key] for key in keys if key.has_row],
            [_seen(key, self._uses[key]) for key in keys if not key.has_row],
        )

    def drop(self, batch: Batch) -> None:
        """It is written."""
        for key in batch.keys:
            del self._uses[key]


def _key(ready: Ready, day: date) -> Key | None:
    name, held, result = ready.known.name, ready.held, ready.result
    if result is None:
        if held is None or not held.has_policy:
            return None
        result = held.result(name)
    # Where our resolver failed, an expired row was not used.
    has_row = held is not None and not ready.is_resolvers
    return Key(day, name.unicode, has_row, result, ready.is_resolvers)


def _seen(key: Key, use: Use) -> Seen:
    return Seen(
        use.result, use.at, use.count, use.first, resolver=key.is_resolvers, domain=use.domain
    )
