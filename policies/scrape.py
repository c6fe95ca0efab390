"""All of `/metrics`: what the processes of this machine have counted, and how the database is.

The gauges of the database are the same on every node. They take a fixed number of queries, whose
counts are bounded or come from indexes; without an answer they are left out, and
`mtasts_database_up` says so. Names and labels: docs/metrics.md.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from mtastsweb import __version__
from policies import alerts, metrics, queue, summary
from policies.models import Heartbeat, PolicyRecord, Summary

log = logging.getLogger(__name__)

MOST_COUNTED = 100_000
"""A backlog is counted so far: more is as bad, and takes long."""


class _Processes(Collector):
    """What the processes of this machine have counted."""

    def collect(self) -> Iterable[Metric]:
        try:
            return metrics.collected(settings.MTASTS.data_dir)
        except OSError as error:
            log.error("the processes' metrics cannot be read", extra={"error": str(error)})
            return []


class _Database(Collector):
    """How things are, as far as the database knows."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        version = InfoMetricFamily("mtasts_build", "What runs here")
        version.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield version
        try:
            found = list(_database(self._now))
        except (DatabaseError, InterfaceError) as error:
            log.error("metrics without the database", extra={"error": str(error)})
            found = []
        yield _gauge("mtasts_database_up", "1 where the database answers", float(bool(found)))
        yield from found


def exposition(accept: str, now: datetime) -> tuple[bytes, str]:
    """The text, in a form that `accept` (the header) allows, and its media type."""
    registry = CollectorRegistry()
    registry.register(_Processes())
    registry.register(_Database(now))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def _database(now: datetime) -> Iterator[Metric]:
    counted = summary.fresh(now)
    yield from _policies(counted.counts if counted else summary.by_mode())
    yield from _summary(counted or Summary.objects.filter(name=summary.NAME).first())
    yield from _refresh(now)
    yield from _queue(now)
    yield _heartbeats()
    yield _alerts()


def _policies(counts: Mapping[str, int]) -> Iterator[Metric]:
    yield _labelled(
        "mtasts_policies",
        "Policies in the cache, by mode",
        "mode",
        {mode: counts.get(mode, 0) for mode in PolicyRecord.Mode.values},
    )
    yield _gauge(
        "mtasts_policies_backing_off",
        "Domains without a policy whose fetch failed lately",
        counts.get("backoff", 0),
    )


def _summary(last: Summary | None) -> Iterator[Metric]:
    """What takes too long to count at a scrape, as of the last count."""
    if last is None:
        return
    yield _gauge(
        "mtasts_policies_failing",
        "Policies whose latest lookup or fetch failed, as of the summary",
        last.counts.get("failing", 0),
    )
    yield _gauge(
        "mtasts_policies_expiring",
        "Policies that end within a day, as of the summary",
        last.counts.get("expiring", 0),
    )
    yield _gauge(
        "mtasts_summary_timestamp_seconds",
        "When policies were last counted",
        last.at.timestamp(),
    )


def _refresh(now: datetime) -> Iterator[Metric]:
    due = PolicyRecord.objects.due(now).order_by()  # in the order of use all would be sorted
    backlog = due[:MOST_COUNTED].count() + _unplanned(now)
    oldest = due.filter(refresh_due__isnull=False).order_by("refresh_due")
    first = oldest.values_list("refresh_due", flat=True).first()
    yield _gauge(
        "mtasts_refresh_backlog", f"Policies due to be fetched, up to {2 * MOST_COUNTED}", backlog
    )
    yield _gauge(
        "mtasts_refresh_lag_seconds",
        "For how long the policy that is due longest has been so",
        _seconds(now - first if first else None),
    )


def _unplanned(now: datetime) -> int:
    return PolicyRecord.objects.unplanned(now).order_by()[:MOST_COUNTED].count()


def _queue(now: datetime) -> Iterator[Metric]:
    depth = queue.depth(now)
    yield _labelled(
        "mtasts_queue_tasks",
        "Tasks of the queue, by whether a worker has them",
        "state",
        {"waiting": depth.waiting, "taken": depth.taken},
    )
    yield _gauge(
        "mtasts_queue_oldest_seconds",
        "For how long the oldest task has waited for a worker",
        _seconds(queue.oldest_waiting(now)),
    )


def _heartbeats() -> Metric:
    family = GaugeMetricFamily(
        "mtasts_heartbeat_timestamp_seconds",
        "When a process last gave a sign of life, by machine and kind",
        labels=["node", "process"],
    )
    for node, kind, at in Heartbeat.objects.values_list("node", "kind", "at"):
        family.add_metric([node, kind], at.timestamp())
    return family


def _alerts() -> Metric:
    family = GaugeMetricFamily(
        "mtasts_alerts", "Open alerts, by what they are", labels=["severity", "kind", "state"]
    )
    for (severity, kind, state), number in alerts.open_counts().by.items():
        family.add_metric([severity, kind, state], number)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _seconds(span: timedelta | None) -> float:
    return span.total_seconds() if span else 0.0
