"""Every metric in the docs exists and moves, and no other."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

import mtastsweb
from policies import metrics, queue, scrape, summary, tasks, world
from policies.metrics.families import Families
from policies.models import Alert, Heartbeat, PolicyRecord
from policies.mtasts import parse_domain
from policies.mtasts.dns import Resolver
from policies.mtasts.https import PolicyFetcher
from policies.socketmap.netstring import encode
from policies.socketmap.server.counts import Counts, Forced
from policies.socketmap.server.held import Held
from policies.socketmap.server.memory import Known, Ready
from policies.socketmap.server.meters import ANSWERED, RESULTS, Meters
from policies.tlsrpt.result import ResultType
from tests.metrics.documented import documented
from tests.metrics.scraping import Samples, moved, scraped, value
from tests.pages import making
from tests.socketmap.server.running import Running, wait_until
from tests.worlds import Script

pytestmark = pytest.mark.django_db(transaction=True)

# What the tests below move, between them all that there is.
DATABASE = {
    "mtasts_policies", "mtasts_policies_backing_off", "mtasts_policies_failing",
    "mtasts_policies_expiring", "mtasts_summary_timestamp_seconds", "mtasts_refresh_backlog",
    "mtasts_refresh_lag_seconds", "mtasts_queue_tasks", "mtasts_queue_oldest_seconds",
    "mtasts_heartbeat_timestamp_seconds", "mtasts_alerts",
}  # fmt: skip
SOCKETMAP = {
    "mtasts_lookups_total", "mtasts_replies_total", "mtasts_socketmap_requests_total",
    "mtasts_socketmap_wait_seconds", "mtasts_socketmap_forced_total",
    "mtasts_socketmap_connections", "mtasts_socketmap_connections_refused_total",
    "mtasts_socketmap_waiting_lookups", "mtasts_socketmap_policies",
    "mtasts_socketmap_database_away",
}  # fmt: skip
OUTSIDE = {"mtasts_fetch_duration_seconds", "mtasts_dns_lookup_duration_seconds"}
WORK = {"mtasts_refreshed_total", "mtasts_task_duration_seconds"}
WEB = {"mtasts_http_request_duration_seconds"}


def beat(**ago: float) -> None:
    Heartbeat.objects.update_or_create(
        node="here", kind="worker", defaults={"at": timezone.now() - timedelta(**ago)}
    )


def database() -> None:
    """Rows of every kind, and a summary of them."""
    now = timezone.now()
    making.record("enforce.example", refresh_due=now - timedelta(hours=1), last_use=now)
    making.record("soon.example", valid_end=now + timedelta(hours=1), refresh_due=now)
    making.backing_off("bad.example")
    PolicyRecord.objects.filter(domain="soon.example").update(
        outcome_type="sts", outcome_failure="sts-webpki-invalid"
    )
    queue.put_tick()
    beat(seconds=1)
    Alert.objects.create(
        domain="bad.example", kind="record-gone", severity="warning", state="suspected",
        found_by="lookup", opened_at=now, last_seen=now,
    )  # fmt: skip
    summary.count(now)


def families(samples: set[str]) -> set[str]:
    """The metrics that these samples belong to."""
    return {re.sub("_(bucket|count|sum)$", "", name) for name in samples}


@pytest.fixture
def before(transactional_db: None) -> Samples:
    return scraped()


def test_the_documents_and_the_code_name_the_same() -> None:
    database()
    in_code = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in Families().registry.collect()
    }
    told = scrape._Database(timezone.now()).collect()
    in_code |= {metric.name + ("_info" if metric.type == "info" else "") for metric in told}
    names = {metric.name for metric in documented()}
    assert in_code == names
    tried = DATABASE | SOCKETMAP | OUTSIDE | WORK | WEB | {"mtasts_database_up"}
    assert tried | {"mtasts_build_info"} == names, "have the new one moved by a test below"


def test_what_runs_here_is_told_with_its_version() -> None:
    (labels,) = [labels for name, labels in scraped() if name == "mtasts_build_info"]
    told = {"version": mtastsweb.__version__, "python": platform.python_version()}
    assert dict(labels) == told
    (row,) = [metric for metric in documented() if metric.name == "mtasts_build_info"]
    assert set(re.findall(r"`([^`]+)`", row.labels)) == set(told)


def test_the_labels_of_the_documents_are_those_of_the_code() -> None:
    labels = {metric.name: set(re.findall(r"`([^`]+)`", metric.labels)) for metric in documented()}
    assert labels["mtasts_lookups_total"] == {"result", *RESULTS, "gone"}
    assert labels["mtasts_socketmap_requests_total"] == {"answered", *ANSWERED}
    assert labels["mtasts_socketmap_forced_total"] == {"reason", *map(str, Forced)}
    assert labels["mtasts_fetch_duration_seconds"] >= {"fetched", *map(str, ResultType)}
    families = Families()
    for metric in families.registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        own = vars(families)
        (family,) = (each for each in own.values() if getattr(each, "_name", None) == metric.name)
        assert set(family._labelnames) <= labels[name], name


class TestDatabase:
    def test_its_gauges_move(self, before: Samples) -> None:
        database()
        assert moved(before, scraped()) >= DATABASE

    def test_modes_are_counted_at_the_scrape_while_no_fresh_summary_exists(self) -> None:
        making.record("a.example")
        making.backing_off("bad.example")
        samples = scraped()
        by_mode = {
            dict(labels)["mode"]: number
            for (name, labels), number in samples.items()
            if name == "mtasts_policies"
        }
        assert by_mode == {"enforce": 1, "testing": 0, "none": 0}
        making.record("b.example")
        assert scraped()["mtasts_policies", frozenset({("mode", "enforce")})] == 2

    def test_a_summary_that_took_long_is_believed_for_long(self) -> None:
        making.record("a.example")
        counted = summary.count(timezone.now())
        counted.took = 1.0
        counted.save()
        making.record("b.example")
        assert scraped()["mtasts_policies", frozenset({("mode", "enforce")})] == 1

    @pytest.mark.parametrize("count", [1, 30])
    def test_a_scrape_takes_a_fixed_number_of_queries(
        self, count: int, django_assert_num_queries: Any
    ) -> None:
        making.many(count)
        # The summary twice, two for modes, three for the refresh, two for the queue, two more.
        with django_assert_num_queries(11):
            scraped()

    def test_without_it_the_processes_still_tell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_now: object) -> Iterator[object]:
            raise DatabaseError("gone")
            yield

        metrics.refreshed("unchanged")
        monkeypatch.setattr(scrape, "_database", fail)
        samples = scraped()
        assert samples["mtasts_database_up", frozenset()] == 0
        names = {name for name, _ in samples}
        assert "mtasts_refreshed_total" in names
        assert "mtasts_policies" not in names


@dataclass
class FakeStatus:
    """What `Meters` reads, set by the test."""

    counts: Counts
    open_connections: int = 3
    waiting_lookups: int = 4
    is_database_away: bool = True
    memory: Any = field(default_factory=lambda: SimpleNamespace(policies=5))

    def forced(self) -> dict[Forced, int]:
        return dict(self.counts.forced)


def ready(reply: bytes, mode: str = "enforce") -> Ready:
    """A reply from memory for a domain whose policy is in this mode."""
    known = Known(parse_domain("example.org"))
    known.held = Held(mode, ("mx.example.org",), "", False, 0.0, False)
    return Ready(known, encode(reply))


class TestSocketmap:
    def test_its_metrics_move(self, before: Samples) -> None:
        counts = Counts()
        meters = Meters(FakeStatus(counts))  # type: ignore[arg-type]
        counts.hits, counts.waited, counts.not_ours, counts.refused_connections = 7, 2, 1, 1
        counts.replies["temp"] += 1
        counts.forced[Forced.DNS] += 1
        counts.waits += [0.2, 0.3]
        meters.tell([(ready(b"OK secure match=x"), 4), (ready(b"NOTFOUND ", "none"), 3)])
        after = scraped()
        assert families(moved(before, after)) >= SOCKETMAP

        def rise(name: str, **labels: str) -> float:
            return value(after, name, **labels) - value(before, name, **labels)

        assert rise("mtasts_lookups_total", result="sts") == 4
        assert rise("mtasts_lookups_total", result="no-policy-found") == 3
        assert rise("mtasts_replies_total", reply="secure") == 4
        assert rise("mtasts_replies_total", reply="temp") == 1
        assert rise("mtasts_socketmap_requests_total", answered="memory") == 5
        assert rise("mtasts_socketmap_requests_total", answered="lookup") == 2
        assert rise("mtasts_socketmap_wait_seconds_count") == 2

    def test_it_tells_each_event_once(self) -> None:
        counts = Counts()
        meters = Meters(FakeStatus(counts))  # type: ignore[arg-type]
        counts.hits = 1
        counts.forced[Forced.DNS] += 1
        meters.tell([])
        told = scraped()
        meters.tell([])
        assert families(moved(told, scraped())) & SOCKETMAP == set()

    def test_a_server_that_runs_tells_of_hits_and_misses(
        self, serve: Callable[..., Running], script: Script, before: Samples
    ) -> None:
        script.publish()
        with serve().client() as client:
            for key in ("example.org", "example.org", ".example.org"):
                client.ask(key)

            def rise(name: str, **labels: str) -> float:
                return value(scraped(), name, **labels) - value(before, name, **labels)

            wait_until(lambda: rise("mtasts_lookups_total", result="sts") == 2)
            assert rise("mtasts_replies_total", reply="secure") == 2
            assert rise("mtasts_replies_total", reply="notfound") == 1
            for answered in ("memory", "lookup", "no-domain"):
                assert rise("mtasts_socketmap_requests_total", answered=answered) == 1


class TestOutside:
    def test_lookups_of_dns_and_fetches_are_counted(self, before: Samples) -> None:
        nobody = Resolver(("127.0.0.1:9",), timeout=0.1)
        outside = world.real(nobody, PolicyFetcher(nobody, timeout=0.2))
        outside.look(parse_domain("example.org"))
        outside.fetch(parse_domain("example.org"))
        assert families(moved(before, scraped())) >= OUTSIDE


class TestWork:
    def test_tasks_and_what_the_refresh_did_are_counted(
        self, script: Script, before: Samples
    ) -> None:
        script.publish()
        making.record("due.example", refresh_due=None, inserted=script.now())
        tasks.tick()
        assert families(moved(before, scraped())) >= WORK


class TestWeb:
    def test_requests_are_counted_by_page_and_never_by_domain(self, before: Samples) -> None:
        Client().get("/policies/secret-domain.example/")
        after = scraped()
        assert families(moved(before, after)) >= WEB
        assert "secret-domain" not in repr(after)
