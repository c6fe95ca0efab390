"""One id from the page's request to the task and the fetch, in header and log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest
from django.test import Client

from mtastsweb import requestid
from mtastsweb.logs import JSONFormatter
from policies import refresh, world
from policies.mtasts.dns import Resolver
from policies.mtasts.https import PolicyFetcher
from tests.pages import making
from tests.pages.conftest import As
from tests.test_tasks import work
from tests.worlds import Script, record

pytestmark = pytest.mark.django_db


class Lines(logging.Handler):
    """What is logged, as JSON reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.said: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(json.loads(self.format(record)))

    def of(self, message: str) -> list[dict[str, object]]:
        return [line for line in self.said if line["msg"] == message]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


@pytest.mark.parametrize("given", ["0123456789abcdef", "a" * 64, "Req-1.2_3456"])
def test_an_id_that_a_proxy_sends_is_kept(given: str) -> None:
    answer = Client().get("/healthz", headers={"x-request-id": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "abcdefgh\r\nX: y", "-bcdefgh", "abc defgh"]
)
def test_an_id_that_is_not_sane_is_replaced(given: str) -> None:
    assert re.fullmatch("[0-9a-f]{16}", requestid.accepted(given))
    assert requestid.accepted(given) != requestid.accepted(given)


def test_a_refetch_keeps_its_id_from_page_to_fetch(
    as_: As, lines: Lines, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.record(b"xn--bcher-kva.example".decode("idna"))
    nobody = Resolver(("127.0.0.1:9",), timeout=0.1)
    real = world.real(nobody, PolicyFetcher(nobody, timeout=0.2))
    script.look = record("2")
    played = script.world
    monkeypatch.setattr(
        world, "default", lambda: world.World(played.look, real.fetch, played.now, played.wait)
    )
    answer = as_("operator").post(
        "/policies/xn--bcher-kva.example/refetch/", headers={"x-request-id": "page-request-1"}
    )
    assert answer.status_code == 303
    work()
    (page,), (fetch,) = lines.of("request"), lines.of("policy fetch")
    assert page["request_id"] == fetch["request_id"] == "page-request-1"
    assert (page["method"], page["status"]) == ("POST", 303)
    assert fetch["domain"] == "xn--bcher-kva.example"
    assert fetch["outcome"] == "sts-policy-fetch-error"


def test_a_bulk_refetch_is_told_with_its_id(as_: As, lines: Lines) -> None:
    making.many(2)
    client, address = as_("operator"), "/policies/bulk/refetch/"
    question = client.post(address, {"all": "1"}).context["question"]
    form = {"all": "1", "question": question}
    client.post(address, form, headers={"x-request-id": "many-at-once"})
    (begun,) = lines.of("refetch of many begun")
    assert (begun["policies"], begun["request_id"]) == (2, "many-at-once")


def test_the_threads_of_a_refresh_share_the_id_of_their_round(
    lines: Lines, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.record("a.example", refresh_due=None, inserted=script.now())
    making.record("b.example", refresh_due=None, inserted=script.now())
    nobody = Resolver(("127.0.0.1:9",), timeout=0.1)
    real = world.real(nobody, PolicyFetcher(nobody, timeout=0.2))
    script.look, played = record("2"), script.world
    outside = world.World(played.look, real.fetch, played.now, played.wait)
    monkeypatch.setattr(world, "limited", lambda _slot: outside)
    with requestid.bound("one-round"):
        refresh.run()
    fetched = {(line["domain"], line["request_id"]) for line in lines.of("policy fetch")}
    assert fetched == {("a.example", "one-round"), ("b.example", "one-round")}


def test_reading_pages_leaves_no_line(as_: As, lines: Lines) -> None:
    viewer = as_("viewer")
    lines.said.clear()
    viewer.get("/policies/")
    assert lines.said == []


def test_a_command_fetches_without_a_line(lines: Lines) -> None:
    nobody = Resolver(("127.0.0.1:9",), timeout=0.1)
    from policies.mtasts import parse_domain

    world.real(nobody, PolicyFetcher(nobody, timeout=0.2)).fetch(parse_domain("example.org"))
    assert lines.said == []
