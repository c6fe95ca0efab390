"""The registrable domain of a name: who is behind it."""

from __future__ import annotations

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()  # 40 ms and 4 MiB, when the first name is looked up


def zone(name: str) -> str:
    """The registrable domain of the A-label `name`; itself where it is a public suffix."""
    return _suffixes().privatesuffix(name) or name
