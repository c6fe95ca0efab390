"""What the laboratory has seen: a list that threads append to and tests read."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Query:
    """One DNS query. `name` is lower case, without the last dot; `transport` is udp or tcp."""

    name: str
    type: str
    transport: str = "udp"
    edns: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return (self.name, self.type)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTPS request that was read in full. Header names are lower case."""

    sni: str
    method: str
    path: str
    address: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        return (self.sni, self.path)


class Entry(Protocol):
    @property
    def key(self) -> tuple[str, ...]: ...


E = TypeVar("E", bound=Entry)


class Log(Generic[E]):
    """Entries in the order they came. With `keep` off only the total is kept."""

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._entries: list[E] = []
        self._total = 0
        self._counts: Counter[tuple[str, ...]] = Counter()

    def append(self, entry: E) -> None:
        with self._lock:
            self._total += 1
            if self._keep:
                self._entries.append(entry)
                self._counts.update(entry.key[:end] for end in (1, 2))

    def count(self, *key: str) -> int:
        """How many had this key: name and type of a query, SNI and path of a request.

        The second part may be left out; with no part it is the total.
        """
        with self._lock:
            return self._counts[key] if key else self._total

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._counts.clear()
            self._total = 0

    def __iter__(self) -> Iterator[E]:
        with self._lock:
            return iter(self._entries.copy())

    def __len__(self) -> int:
        return self.count()

    def __getitem__(self, index: int) -> E:
        with self._lock:
            return self._entries[index]
