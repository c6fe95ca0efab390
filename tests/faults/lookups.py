"""Mail servers that go on asking whatever happens to the product."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from tests.socketmap.server.client import Client

PAUSE = 0.02


class Lookups:
    """As a context manager asks about these domains in turn, a new connection where one ends.

    `answers`: how often each reply came. `asked`: how often each domain was answered for, and
    `last`, when it was last. `broken`: connections that ended or were refused.
    """

    def __init__(self, port: int, domains: Sequence[str], seed: int = 7) -> None:
        self.answers: Counter[bytes] = Counter()
        self.asked: Counter[str] = Counter()
        self.last: dict[str, datetime] = {}
        self.broken = 0
        self._where = ("127.0.0.1", port)
        self._domains = domains
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookups")

    @property
    def total(self) -> int:
        """How many answers there were so far."""
        return sum(self.answers.copy().values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with Client(self._where) as client:
                    while not self._over.wait(PAUSE):
                        domain = self._random.choice(self._domains)
                        began = datetime.now(UTC)
                        self.answers[client.ask(domain)] += 1
                        self.asked[domain] += 1
                        self.last[domain] = began
            except (OSError, EOFError):
                self.broken += 1
                self._over.wait(PAUSE)
