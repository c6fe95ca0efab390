"""The metrics that processes count, each with its labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OUTSIDE = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
"""Seconds that others may take: a near resolver, a far policy host, a deadline."""

INSIDE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds that a page of ours may take."""

LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0)
"""Seconds that a task may take: a fetch, or a tick that takes on work for 50 of them."""


class Families:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lookups = self._counter(
            "mtasts_lookups", "Mail servers' lookups, by TLSRPT result", "result"
        )
        self.replies = self._counter("mtasts_replies", "Replies to Postfix, by kind", "reply")
        self.requests = self._counter(
            "mtasts_socketmap_requests", "Requests of Postfix, by what answered them", "answered"
        )
        self.forced = self._counter(
            "mtasts_socketmap_forced",
            "Requests answered because of a deadline or a limit, by which",
            "reason",
        )
        self.refused = self._counter(
            "mtasts_socketmap_connections_refused", "Connections of Postfix that found no room"
        )
        self.waits = self._histogram(
            "mtasts_socketmap_wait_seconds",
            "How long requests waited that were not answered from memory",
            OUTSIDE,
        )
        self.connections = self._gauge(
            "mtasts_socketmap_connections", "Open connections of Postfix"
        )
        self.waiting = self._gauge(
            "mtasts_socketmap_waiting_lookups", "Lookups that no thread has begun"
        )
        self.held = self._gauge("mtasts_socketmap_policies", "Policies in the socketmap's memory")
        self.away = self._gauge(
            "mtasts_socketmap_database_away", "1 while the database does not answer the socketmap"
        )
        self.fetches = self._histogram(
            "mtasts_fetch_duration_seconds",
            "Policy fetches over HTTPS, by who made them and how they ended",
            OUTSIDE,
            "process",
            "outcome",
        )
        self.looks = self._histogram(
            "mtasts_dns_lookup_duration_seconds",
            "Lookups of TXT records, by who made them and how they ended",
            OUTSIDE,
            "process",
            "outcome",
        )
        self.refreshed = self._counter(
            "mtasts_refreshed", "Policies that the refresh worked, by what came of it", "outcome"
        )
        self.tasks = self._histogram(
            "mtasts_task_duration_seconds",
            "Tasks of the queue, by name and how they ended",
            LONG,
            "task",
            "outcome",
        )
        self.pages = self._histogram(
            "mtasts_http_request_duration_seconds",
            "Requests to the web, by page and class of status",
            INSIDE,
            "view",
            "status",
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        # "live": of the processes that run. Several are two socketmaps on one machine.
        return Gauge(name, text, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
