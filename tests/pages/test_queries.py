"""How many queries a page takes: so many, however long it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from policies import alerts, audit
from policies.models import Alert, Fetch, Job, MXCheck, PolicyException, PolicyRecord
from policies.mtasts.mxfit import MailHost
from tests.pages import making
from tests.pages.conftest import As, someone

pytestmark = pytest.mark.django_db

WHO = 2
"""The session and its user …"""

PAUSE = 1
"""… whether enforcement is paused, on each whole page …"""

MAY = 2
"""… and what the user may do, by groups and by name, where that is asked."""


def fetches(count: int) -> None:
    making.record("one.example")
    Fetch.objects.bulk_create(
        [
            Fetch(domain="one.example", source="operator", state="done", requested_by=someone(role))
            for role in ("operator", "superuser")
            for _ in range(count)
        ]
    )


def troubles(count: int) -> None:
    now = timezone.now()
    for at in range(count):
        making.record(f"d{at}.example", last_use=now, failures=5, certificate_end=now)
        check = MXCheck(domain=f"d{at}.example", due=now)
        check.found("mx", [MailHost(10, "elsewhere.example")], ["mx.example.org"], now)
        check.save()


def excepted(count: int) -> None:
    making.record("one.example")
    PolicyException.objects.bulk_create(
        PolicyException(
            scope="domain", target=f"d{at}.example", action="skip", reason="r", owner="o",
            until=timezone.now() + making.DAY,
        )
        for at in range(count)
    )  # fmt: skip


def logged(count: int) -> None:
    rows = [making.record(f"d{at}.example") for at in range(count)]
    audit.log_each(someone("operator"), [(row, "Asked for a refetch.") for row in rows], 2)
    making.record("one.example")


def alerted(count: int) -> None:
    making.record("one.example")
    made = [making.alert(f"d{at}.example") for at in range(count)]
    Alert.objects.filter(pk=made[0].pk).update(id=1_000_007, acknowledged_by=someone("operator"))


def jobs_(count: int) -> None:
    making.record("one.example")
    for _ in range(count):
        Job.objects.create(kind="refetch", total=9, requested_by=someone("operator"))
        Job.objects.create(kind="refresh", state="done", requested_by=someone("superuser"))


def one_exception(count: int) -> None:
    excepted(count)
    first = PolicyException.objects.order_by("pk").values("pk")[:1]
    PolicyException.objects.filter(pk__in=list(first.values_list("pk", flat=True))).update(
        id=1_000_007
    )


PAGES: list[tuple[str, str, Callable[[int], object], int]] = [
    # A page of rows, their fetches, their exceptions, the tiles' counts and the newest change.
    ("/policies/", "operator", making.many, WHO + PAUSE + MAY + 5),
    # The same, a count for each condition that has an index, and one of all that match.
    (
        "/policies/?q=d0&mode=enforce&state=valid&sort=domain",
        "operator",
        making.many,
        WHO + PAUSE + MAY + 5 + 3,
    ),
    ("/policies/d000000.example/row/", "operator", making.many, WHO + MAY + 3),
    # The row, its fetches, its outcomes by day and by cause, its versions, what people did, its
    # mail hosts, whether they are probed, its exceptions.
    ("/policies/one.example/", "operator", fetches, WHO + PAUSE + MAY + 9),
    # What fails, certificates, mail hosts, their probes and policies, exceptions that count for
    # these and those that end, lookups.
    ("/trouble/", "viewer", troubles, WHO + PAUSE + MAY + 8),
    # A page of exceptions; the form asks nothing more than whether there is one already.
    ("/exceptions/", "operator", excepted, WHO + PAUSE + MAY + 1),
    ("/exceptions/?state=ended&q=x&action=skip", "viewer", excepted, WHO + PAUSE + MAY + 1),
    ("/exceptions/add/", "operator", excepted, WHO + PAUSE + MAY),
    # A page of the log, with who and about what kind of thing.
    ("/audit/", "viewer", logged, WHO + PAUSE + MAY + 1),
    # A page of alerts, open ones and others, which of their domains are cached, whether messages
    # are stuck.
    ("/alerts/", "viewer", alerted, WHO + PAUSE + MAY + 4),
    # An alert, and its row.
    ("/alerts/1000007/", "operator", alerted, WHO + PAUSE + MAY + 2),
    # Jobs that run, those that ended, whether the refresh is paused.
    ("/jobs/", "operator", jobs_, WHO + PAUSE + MAY + 3),
    # The same, a page of fetches, which of their domains are cached. Failures first takes a query
    # for each way to end until the page is full, six at most.
    ("/fetches/?sort=newest", "operator", fetches, WHO + PAUSE + MAY + 3 + 1 + 1),
    ("/policies/changed/?since=0", "viewer", making.many, WHO + MAY + 1),
    # The exception; its form asks nothing more.
    ("/exceptions/1000007/", "operator", one_exception, WHO + PAUSE + MAY + 1),
    ("/exceptions/1000007/end/", "operator", one_exception, WHO + PAUSE + MAY + 1),
    ("/exceptions/import/", "operator", excepted, WHO + PAUSE + MAY),
    # How many exceptions go on under it.
    ("/exceptions/pause/", "superuser", excepted, WHO + PAUSE + 1),
    ("/glossary/", "viewer", making.many, WHO + PAUSE + MAY),
    ("/accounts/password/", "viewer", making.many, WHO + PAUSE + MAY),
    ("/check/", "operator", making.many, WHO + PAUSE + MAY),
    ("/policies/d000000.example/delete/", "operator", making.many, WHO + PAUSE + MAY + 1),
    # A page of rows, their count and the count of all that is filtered, and the filters' dates.
    ("/admin/policies/policyrecord/", "superuser", making.many, WHO + PAUSE + 5),
    ("/admin/policies/fetch/", "superuser", fetches, WHO + PAUSE + 2),
    ("/admin/policies/policyexception/", "superuser", excepted, WHO + PAUSE + 2),
]


@pytest.mark.parametrize(("path", "role", "make", "queries"), PAGES)
@pytest.mark.parametrize("count", [1, 50])
def test_a_page_takes_a_fixed_number_of_queries(
    path: str,
    role: str,
    make: Callable[[int], object],
    queries: int,
    count: int,
    as_: As,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make(count)
    client = as_(role)
    alerts._unread.forget()  # or what an earlier test made may grow old between these two
    client.get(path)  # the first counts the tiles, and looks up what kinds of content there are
    with django_assert_num_queries(queries):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("count", [2, 50])
@pytest.mark.parametrize(
    ("form", "queries"),
    [
        # How many there are, twice, and how many have a refetch coming; for ticked rows which
        # there are, too.
        ({"all": "1"}, WHO + PAUSE + MAY + 3),
        ({"domain": [f"d{at:06}.example" for at in range(50)]}, WHO + PAUSE + MAY + 3),
    ],
)
def test_a_question_about_many_takes_a_fixed_number_of_queries(
    form: dict[str, str],
    queries: int,
    count: int,
    as_: As,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    making.many(count)
    client = as_("operator")
    client.get("/policies/")
    for action in ("refetch", "delete"):
        with django_assert_num_queries(queries):
            assert client.post(f"/policies/bulk/{action}/", form).status_code == 200


@pytest.mark.parametrize("count", [1, 50])
def test_a_bulk_refetch_reads_its_rows_at_once(count: int, as_: As) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    chosen = making.domains(making.many(count))
    operator = as_("operator")
    with CaptureQueriesContext(connection) as captured:
        operator.post("/policies/refetch/", {"domain": chosen})
    reads = [each for each in captured if each["sql"].startswith("SELECT")]
    rows = [each for each in reads if 'FROM "policies_policyrecord"' in each["sql"]]
    assert len(rows) == 1
    assert Fetch.objects.filter(state="queued").count() == count


def test_no_query_reads_the_texts_of_a_whole_page(as_: As) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    making.many(3)
    with CaptureQueriesContext(connection) as captured:
        as_("viewer").get("/policies/")
    text = '"policies_policyrecord"."policy_text"'
    assert not any(text in each["sql"] for each in captured)
    assert PolicyRecord.objects.filter(last_use__lt=timezone.now()).count() == 0
