"""How the server is: for the log, and for /status/."""

from __future__ import annotations

import os
import time

from policies.socketmap.server.connection import Connections
from policies.socketmap.server.counts import Counts, Forced
from policies.socketmap.server.database import Database
from policies.socketmap.server.memory import Memory
from policies.socketmap.server.pool import Pool


class Status:
    """Read in any thread. `validation`: what was found of the resolver's, in words."""

    def __init__(
        self,
        counts: Counts,
        memory: Memory,
        connections: Connections,
        pool: Pool,
        database: Database,
    ) -> None:
        self.counts = counts
        self.memory = memory
        self._connections = connections
        self._pool = pool
        self._database = database
        self._started = self.now()
        self.validation = ""

    def now(self) -> float:
        return time.monotonic()

    @property
    def is_database_away(self) -> bool:
        return self._database.is_away

    @property
    def open_connections(self) -> int:
        return len(self._connections.open)

    @property
    def waiting_lookups(self) -> int:
        return self._pool.waiting

    def forced(self) -> dict[Forced, int]:
        """How many answers were given because of a deadline or a limit, by its kind."""
        return dict(self.counts.forced)

    def details(self) -> dict[str, object]:
        """What `Heartbeat.details` holds, since the start of this process."""
        return {
            "pid": os.getpid(),
            "running_seconds": int(self.now() - self._started),
            "answers": self.counts.hits,
            "misses": self.counts.misses,
            "not_ours": self.counts.not_ours,
            "forced": {str(reason): number for reason, number in self.forced().items()},
            "connections": self.open_connections,
            "refused_connections": self.counts.refused_connections,
            "database_away": self.is_database_away,
            "policies": self.memory.policies,
            "has_all_policies": self.memory.is_complete,
            "validation": self.validation,
            "waiting_lookups": self.waiting_lookups,
        }
