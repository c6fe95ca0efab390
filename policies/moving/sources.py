"""What can be imported, by the names that `mtasts import` knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from policies.moving import lists, reading
from policies.moving.found import Bad, Found
from policies.moving.sqlite import sts_resolver_cache

Reader = Callable[[Path], Iterator[Found | Bad]]

SOURCES: dict[str, Reader] = {
    "domains": lambda path: lists.domain_list(reading.lines(path)),
    "postfix-log": lambda path: lists.postfix_log(reading.lines(path)),
    "postfix-mta-sts-resolver": sts_resolver_cache,
    "postfix-tlspol": lambda path: lists.tlspol_dump(reading.lines(path)),
}
