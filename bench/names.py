"""Which domains of the laboratory are asked for."""

from __future__ import annotations

from tests.lab.synthetic import SUFFIX

NEVER_SEEN = 1000
"""How many of them are asked for in each run."""

COUNT = 1_000_000
"""Domains that the laboratory serves."""

MX = f"mx.{SUFFIX}"
POLICY = f"version: STSv1\nmode: enforce\nmx: {MX}\nmax_age: 604800\n"
RECORD_ID = "1"

CHANGED_POLICY = f"version: STSv1\nmode: enforce\nmx: new.{SUFFIX}\nmax_age: 604800\n"
CHANGED_ID = "2"
"""What a domain that changes its policy publishes then."""


def hangs(number: int, every: int) -> bool:
    """Whether the policy host of this domain is one of those, each so-manyth, that say nothing."""
    return every > 0 and number % every == 0


def cached_names(count: int) -> list[str]:
    """Those that are in the database before."""
    return [f"d{number}.{SUFFIX}" for number in range(count)]


def new_names(count: int, run: int) -> list[str]:
    """Some that were never asked for, other ones in each run."""
    first = COUNT // 2 + run * count
    return [f"d{number}.{SUFFIX}" for number in range(first, first + count)]
