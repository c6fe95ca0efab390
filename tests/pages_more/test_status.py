"""`/status/`: how the product is, and what to do about it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from mtastsweb.environment import OnDANE
from mtastsweb.values import Address
from policies import checks, queue, status
from policies.models import Fetch, Heartbeat, Lease
from policies.status import State, resolvers
from policies.status.machine import NO_SPACE, disk
from tests.pages import making
from tests.pages.conftest import As

pytestmark = pytest.mark.django_db

NOW = timezone.now()
Change = Callable[..., None]


@pytest.fixture(autouse=True)
def own_world(change_environment: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing kept from another test, and a resolver that nobody runs."""
    cache.clear()
    monkeypatch.setattr(resolvers, "TIMEOUT", 0.05)
    change_environment(nameservers=(Address("127.0.0.1", 9),))


@pytest.fixture
def viewer(as_: As) -> Client:
    return as_("viewer")


def text_of(page: str) -> str:
    main = page.partition("<main")[2].partition("</main>")[0]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)))


def shown(client: Client) -> str:
    return text_of(client.get("/status/").content.decode())


def part(title: str) -> status.Item:
    return next(item for item in status.items(timezone.now()) if item.title.startswith(title))


def beat(kind: str, node: str = "here", ago: float = 0, **details: object) -> None:
    at = timezone.now() - timedelta(seconds=ago)
    Heartbeat.objects.create(kind=kind, node=node, at=at, details=details)


def test_says_what_to_do_when_nothing_works(viewer: Client) -> None:
    page = shown(viewer)
    assert "needs mending" in page
    assert (
        "Worker never seen Refetches and refreshes wait until one works: start `make run`" in page
    )
    assert "Socketmap never seen Postfix gets no answer" in page
    assert "Web never seen" not in page


@pytest.mark.parametrize(
    ("ago", "state", "word"),
    [(10, State.OK, "at work"), (400, State.BAD, "silent"), (7200, State.BAD, "silent")],
)
def test_a_worker_is_judged_by_its_last_sign_of_life(ago: float, state: State, word: str) -> None:
    beat("worker", ago=ago)
    worker = part("Worker on here")
    assert (worker.state, worker.word) == (state, word)


def test_a_machine_taken_out_of_service_is_no_alarm_while_another_works() -> None:
    beat("worker", "old", ago=7200)
    beat("worker", "new")
    assert part("Worker on old").state is State.IDLE


def test_machines_that_run_the_web_alone_are_told_apart() -> None:
    beat("web", "here", ago=15)
    beat("web", "there", ago=400)
    assert (part("Web on here").state, part("Web on there").word) == (State.OK, "silent")
    assert "pages do not answer" in part("Web on there").todo


def test_the_socketmap_tells_of_itself(viewer: Client) -> None:
    beat(
        "socketmap", answers=1234567, has_all_policies=True, validation="",
        pid=30481, running_seconds=60, forced={"dns-deadline": 3, "broken": 1},
        something_new="<b>x</b>", deeper=[1, 2],
    )  # fmt: skip
    page = shown(viewer)
    for words in (
        "Process 30481",
        "Started 1 min ago",
        "Answers from memory 1,234,567",
        "All policies in memory yes",
        "Answers forced broken: 1, dns-deadline: 3",
        "Something new <b>x</b>",
        "Deeper [1, 2]",
    ):
        assert words in page, words


def test_the_queue_says_how_long_the_oldest_waits() -> None:
    assert part("Queue").state is State.OK
    for ago in (5, 90):
        OrmQ.objects.create(key="k", payload="p", lock=timezone.now() - timedelta(seconds=ago))
    OrmQ.objects.create(key="k", payload="p", lock=timezone.now() + timedelta(seconds=900))
    waiting = part("Queue")
    facts = {fact.label: fact.text for fact in waiting.facts}
    assert (waiting.state, facts["Waiting"], facts["Taken by workers"]) == (State.WARN, "2", "1")
    assert facts["Oldest waits for"] in ("90 s", "91 s")


class TestRefresh:
    def test_tells_the_last_and_the_next_and_what_is_due(self) -> None:
        now = timezone.now()
        Schedule.objects.filter(func=queue.TICK).update(next_run=now + timedelta(seconds=30))
        Fetch.objects.create(domain="a.example", source="refresh", state="done", finished_at=now)
        Lease.objects.update_or_create(
            name="refresh", defaults={"until": now + timedelta(minutes=1)}
        )
        making.record("due.example", last_use=now, refresh_due=now - timedelta(hours=1))
        refresh = part("Refresh")
        facts = {fact.label: fact for fact in refresh.facts}
        assert refresh.state is State.OK
        assert facts["Last one that fetched"].moment == now
        assert facts["Next round"].moment == now + timedelta(seconds=30)
        assert facts["A round is under way"].text == "yes"
        assert facts["Policies due now"].text == "1"

    def test_one_that_does_not_come_is_overdue(self) -> None:
        Schedule.objects.filter(func=queue.TICK).update(next_run=NOW - timedelta(minutes=10))
        assert part("Refresh").word == "overdue"

    def test_without_a_schedule_it_says_how_to_get_one(self) -> None:
        Schedule.objects.all().delete()
        assert "migrate" in part("Refresh").todo


def test_the_database_is_told_without_its_password(
    viewer: Client, change_environment: Change
) -> None:
    secrets = {
        "database_url": "postgres://someone:secret-1@db/name",
        "secret_key": "secret-2",
        "proxy": "http://user:secret-3@127.0.0.1:1",
        "metrics_token": "secret-4",
    }
    change_environment(**secrets)
    page = viewer.get("/status/").content.decode()
    assert "Engine" in page
    assert "someone" not in page
    assert "secret-" not in page


def test_a_resolver_that_does_not_answer_is_asked_once_a_minute(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = resolvers._ask
    monkeypatch.setattr(resolvers, "_ask", lambda servers: asked.append(servers) or ask(servers))
    assert "Resolver no answer No domain can be looked up" in shown(viewer)
    shown(viewer)
    assert asked == [("127.0.0.1:9",)]


def test_a_resolver_that_validates_is_told_from_one_that_does_not(
    request: pytest.FixtureRequest,
    change_environment: Change,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
    from mtastsweb.values import nameserver
    from tests.lab import answers

    lab = request.getfixturevalue("lab")
    monkeypatch.setattr(resolvers, "TIMEOUT", 5.0)
    change_environment(nameservers=(nameserver(lab.nameserver),))
    for authentic, state in ((True, State.OK), (False, State.WARN)):
        cache.clear()
        lab.zone[".", "SOA"] = answers.Records("a. b. 1 2 3 4 5", authenticated=authentic)
        found = resolvers.resolver()
        assert found.state is state, found
        facts = {fact.label: fact.text for fact in found.facts}
        assert facts["Validates DNSSEC"].startswith("yes" if authentic else "no ")
        assert facts["Answered in"].endswith(" ms")
    assert "MTA-STS policies override it" in found.todo


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        total, free = 2**40, NO_SPACE - 1

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    assert disk().state is State.BAD


def test_versions_are_told(viewer: Client) -> None:
    page = shown(viewer)
    for name in ("Python 3.", "Django 5.2", "django-q2 1.", "OpenSSL OpenSSL 3"):
        assert name in page


class TestChecks:
    def found(self) -> set[str]:
        cache.clear()
        return {check.id for check in status.checked()}

    def test_findings_are_shown_with_their_hints(
        self, viewer: Client, change_environment: Change
    ) -> None:
        change_environment(policy_port=8443)
        page = shown(viewer)
        assert "warning Policies are fetched from port 8443" in page
        assert "Unset MTASTS_POLICY_PORT." in page
        assert "mtasts.W002" in page

    def test_an_ordinary_deployment_has_nothing_to_warn_of(
        self, change_environment: Change
    ) -> None:
        change_environment(report_domain="mail.example.org")
        assert self.found() == set()

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"ca_file": Path("/dev/null")}, "mtasts.E001"),
            ({"allow_private_addresses": True}, "mtasts.W001"),
            ({"policy_port": 8443}, "mtasts.W002"),
            ({"debug": True}, "mtasts.W003"),
            ({"allowed_hosts": ("*",)}, "mtasts.W004"),
            ({"web_listen": Address("0.0.0.0", 8000)}, "mtasts.W005"),
            ({"proxy": "http://127.0.0.1:3128"}, "mtasts.I002"),
            ({"report_domain": "localhost"}, "mtasts.I003"),
        ],
    )
    def test_what_may_do_harm_is_found(
        self, change_environment: Change, fields: dict[str, Any], expected: str
    ) -> None:
        change_environment(report_domain="mail.example.org")
        change_environment(**fields)
        assert self.found() == {expected}

    def test_a_resolver_elsewhere_is_told_only_where_dane_is_looked_at(
        self, change_environment: Change, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_environment(report_domain="mail.example.org", nameservers=())
        monkeypatch.setattr(checks.systemresolver, "nameservers", lambda: ["192.0.2.53"])
        monkeypatch.setattr(checks.Resolver, "is_trusted", False)
        assert self.found() == {"mtasts.I001"}
        change_environment(socketmap_dane=OnDANE.OFF)
        assert self.found() == set()

    def test_no_resolver_at_all_is_an_error(
        self, change_environment: Change, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_environment(report_domain="mail.example.org", nameservers=())
        monkeypatch.setattr(checks.systemresolver, "nameservers", list)
        assert self.found() == {"mtasts.E002"}

    def test_a_database_on_a_network_file_system_is_found(
        self, tmp_path: Path, change_environment: Change, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(
            "/dev/sda1 / ext4 rw 0 0\n"
            f"server:/x {tmp_path.resolve()} nfs4 rw 0 0\n"
            "tmpfs /with\\040blank tmpfs rw 0 0\n"
        )
        assert checks.file_system(tmp_path / "db", mounts) == "nfs4"
        assert checks.file_system(Path("/elsewhere"), mounts) == "ext4"
        assert checks.file_system(Path("/with blank/x"), mounts) == "tmpfs"
        assert checks.file_system(tmp_path, tmp_path / "absent") == ""
        change_environment(report_domain="mail.example.org", database_url="sqlite:///x")
        monkeypatch.setattr(checks, "file_system", lambda path: "nfs4")
        assert "mtasts.W006" in self.found()


def test_a_page_asks_the_same_however_much_there_is(
    viewer: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    counts = []
    for many in (1, 40):
        for number in range(many):
            beat("socketmap", f"node-{many}-{number}")
            making.record(f"d{many}-{number}.example", last_use=NOW)
        with django_assert_max_num_queries(20) as asked:
            viewer.get("/status/")
        counts.append(len(asked))
    assert counts[0] == counts[1]
