"""Who may open which page and do what: every address, as everybody.

A new address of the product, or a new model in the admin, has to find its place here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from mtastsweb.values import Address
from policies import setup
from policies.models import PolicyException, PolicyRecord
from tests.pages import making
from tests.pages.conftest import ROLES, As, someone

pytestmark = pytest.mark.django_db

LOGIN = 302
"""Sent to the login page."""

CACHED, ABSENT = "cached.example", "absent.example"


@dataclass(frozen=True)
class Case:
    """What somebody of each role gets, in the order of `ROLES`."""

    method: str
    route: str
    statuses: tuple[int, ...]
    arguments: tuple[str, ...] = ()
    data: dict[str, str] = field(default_factory=dict)
    htmx: bool = False

    def __str__(self) -> str:
        htmx = " by htmx" if self.htmx else ""
        return f"{self.method} {self.route} {' '.join(self.arguments)}{htmx}"


def sees(status: int = 200) -> tuple[int, ...]:
    return (LOGIN, 403, status, status, status, status)


def acts(status: int = 303) -> tuple[int, ...]:
    return (LOGIN, 403, 403, status, status, status)


def everybody(status: int) -> tuple[int, ...]:
    return (status,) * len(ROLES)


WRONG_METHOD = (LOGIN, 405, 405, 405, 405, 405)
ONE = (CACHED,)
NONE = (ABSENT,)
NO_NAME = ("not a domain",)
ORDINARY, NOWHERE, PAUSE = "1000001", "1000002", "1000003"
"""Keys of exceptions, far beyond those that the database gives out by itself."""

ADMINISTERS = (LOGIN, 403, 403, 403, 200, 200)
PAUSES = (LOGIN, 403, 403, 403, 303, 303)
SKIP = {
    "scope": "domain", "target": "skipped.example", "action": "skip", "reason": "r", "owner": "o"
}  # fmt: skip
ENDLESS = SKIP | {"endless": "on", "until": "2999-01-01T00:00"}
EVERYTHING = SKIP | {"scope": "everything", "target": ""}
TABLE = {"table": "imported.example may", "reason": "r", "days": "7", "do": "all"}
NO_CHECK = "8e1b4a2e-0000-4000-8000-000000000000"

CASES = [
    Case("GET", "healthz", everybody(200)),
    Case("GET", "readyz", everybody(200)),
    Case("POST", "readyz", everybody(405)),
    Case("GET", "metrics", everybody(200)),
    Case("POST", "metrics", everybody(405)),
    Case("GET", "login", (200, *[302] * 5)),
    Case("GET", "logout", (302, *[405] * 5)),
    Case("POST", "logout", everybody(302)),
    Case("GET", "password", (LOGIN, *[200] * 5)),
    Case("POST", "password", (LOGIN, *[200] * 5), data={"old_password": "not this one"}),
    Case("GET", "policies:glossary", (LOGIN, *[200] * 5)),
    Case("POST", "policies:glossary", (LOGIN, *[405] * 5)),
    Case("GET", "policies:home", everybody(302)),
    Case("GET", "policies:list", sees()),
    Case("POST", "policies:list", WRONG_METHOD),
    Case("GET", "policies:detail", sees(), ONE),
    Case("GET", "policies:detail", sees(404), NONE),
    Case("GET", "policies:detail", sees(404), NO_NAME),
    Case("POST", "policies:detail", WRONG_METHOD, ONE),
    Case("GET", "policies:row", sees(), ONE),
    Case("GET", "policies:row", sees(), NONE),
    Case("POST", "policies:row", WRONG_METHOD, ONE),
    Case("POST", "policies:refetch", acts(), ONE),
    Case("POST", "policies:refetch", acts(200), ONE, htmx=True),
    Case("POST", "policies:refetch", acts(404), NONE),
    Case("POST", "policies:refetch", acts(404), NO_NAME),
    Case("GET", "policies:refetch", WRONG_METHOD, ONE),
    Case("POST", "policies:refetch-selected", acts(), data={"domain": CACHED}),
    Case("POST", "policies:refetch-selected", acts(200), data={"domain": CACHED}, htmx=True),
    Case("POST", "policies:refetch-selected", acts(), data={"domain": ABSENT}),
    Case("POST", "policies:refetch-selected", acts()),
    Case("GET", "policies:refetch-selected", WRONG_METHOD),
    Case("GET", "policies:changed", sees(), data={"since": "0"}),
    Case("POST", "policies:changed", WRONG_METHOD),
    Case("POST", "policies:bulk", acts(200), ("refetch",), data={"all": "1"}),
    Case("POST", "policies:bulk", acts(), ("refetch",), data={"domain": CACHED}),
    Case("POST", "policies:bulk", acts(200), ("delete",), data={"domain": CACHED}),
    Case("POST", "policies:bulk", acts(200), ("delete",), data={"all": "1", "question": "1"}),
    Case("POST", "policies:bulk", acts(), ("delete",)),
    Case("GET", "policies:bulk", acts(302), ("delete",)),
    Case("GET", "policies:export-csv", sees()),
    Case("POST", "policies:export-csv", WRONG_METHOD),
    Case("GET", "policies:export-json", sees()),
    Case("GET", "policies:jobs", sees()),
    Case("POST", "policies:jobs-resume", acts()),
    Case("GET", "policies:jobs-resume", WRONG_METHOD),
    Case("GET", "policies:audit", sees()),
    Case("GET", "policies:audit", sees(), data={"before": "x"}),
    Case("POST", "policies:job-stop", acts(), ("1",)),
    Case("GET", "policies:job-stop", WRONG_METHOD, ("1",)),
    Case("GET", "policies:delete", acts(200), ONE),
    Case("POST", "policies:delete", acts(), ONE),
    Case("GET", "policies:delete", acts(404), NONE),
    Case("POST", "policies:delete", acts(404), NONE),
    Case("GET", "policies:alerts", sees()),
    Case("POST", "policies:alerts", WRONG_METHOD),
    Case("GET", "policies:alert", sees(), ("1",)),
    Case("GET", "policies:alert", sees(404), ("2",)),
    Case("POST", "policies:alert", WRONG_METHOD, ("1",)),
    Case("POST", "policies:acknowledge", acts(), ("1",), data={"note": "known"}),
    Case("POST", "policies:acknowledge", acts(404), ("2",)),
    Case("GET", "policies:acknowledge", acts(302), ("1",)),
    Case("GET", "policies:acknowledge", acts(404), ("2",)),
    Case("GET", "policies:outcomes", sees()),
    Case("POST", "policies:outcomes", WRONG_METHOD),
    Case("GET", "policies:outcomes-csv", sees()),
    Case("POST", "policies:outcomes-csv", WRONG_METHOD),
    Case("GET", "policies:outcomes-report", sees()),
    Case("GET", "policies:outcomes-report", sees(400), data={"day": "tomorrow"}),
    Case("POST", "policies:outcomes-report", WRONG_METHOD),
    Case("GET", "policies:fetches", sees()),
    Case("POST", "policies:fetches", WRONG_METHOD),
    Case("GET", "policies:fetch-row", sees(), ("1",)),
    Case("POST", "policies:fetch-row", WRONG_METHOD, ("1",)),
    Case("POST", "policies:probe", acts(), ONE, data={"on": "1"}),
    Case("POST", "policies:probe", acts(404), NONE),
    Case("GET", "policies:probe", WRONG_METHOD, ONE),
    Case("GET", "policies:trouble", sees()),
    Case("POST", "policies:trouble", WRONG_METHOD),
    Case("GET", "policies:status", sees()),
    Case("POST", "policies:status", WRONG_METHOD),
    Case("GET", "policies:check", acts(200)),
    Case("POST", "policies:check", acts(200), data={"domain": "no name"}),
    Case("GET", "policies:check-result", acts(404), (NO_CHECK,)),
    Case("POST", "policies:check-result", WRONG_METHOD, (NO_CHECK,)),
    Case("GET", "policies:check-store", acts(302)),
    Case("POST", "policies:check-store", acts(), data={"domain": ABSENT}),
    # A session opens nothing there; tests/api tries tokens.
    *(
        Case("GET", f"policies:api{name}", everybody(401), arguments)
        for name, arguments in (
            ("", ()),
            ("-policies", ()),
            ("-policy", ONE),
            ("-versions", ONE),
            ("-fetches", ()),
            ("-outcomes", ()),
            ("-alerts", ()),
            ("-exceptions", ()),
            ("-trouble", ()),
            ("-status", ()),
            ("-nowhere", ("v2/",)),
        )
    ),
    Case("GET", "policies:exceptions", sees()),
    Case("POST", "policies:exceptions", WRONG_METHOD),
    Case("GET", "policies:exception-add", acts(200)),
    Case("POST", "policies:exception-add", acts(200)),
    Case("POST", "policies:exception-add", acts(), data=SKIP),
    Case("POST", "policies:exception-add", (LOGIN, 403, 403, 200, 303, 303), data=ENDLESS),
    Case("POST", "policies:exception-add", (LOGIN, 403, 403, 200, 200, 200), data=EVERYTHING),
    Case("GET", "policies:exception", acts(200), (ORDINARY,)),
    Case("GET", "policies:exception", acts(404), (NOWHERE,)),
    Case("POST", "policies:exception", acts(), (ORDINARY,), data=SKIP),
    Case("GET", "policies:exception-end", acts(200), (ORDINARY,)),
    Case("POST", "policies:exception-end", acts(), (ORDINARY,)),
    Case("POST", "policies:exception-end", acts(404), (NOWHERE,)),
    Case("GET", "policies:exception-end", ADMINISTERS, (PAUSE,)),
    Case("POST", "policies:exception-end", PAUSES, (PAUSE,)),
    Case("GET", "policies:exception-pause", ADMINISTERS),
    Case("POST", "policies:exception-pause", ADMINISTERS),
    Case("POST", "policies:exception-pause", PAUSES, data={"hours": "1", "reason": "r"}),
    Case("GET", "policies:exception-export", sees()),
    Case("POST", "policies:exception-export", WRONG_METHOD),
    Case("GET", "policies:exception-import", acts(200)),
    Case("POST", "policies:exception-import", acts(200)),
    Case("POST", "policies:exception-import", acts(), data=TABLE),
    Case("GET", "policies:setup", everybody(410), ("a-link-of-ours-that-is-used",)),
    Case("POST", "policies:setup", everybody(410), ("a-link-of-ours-that-is-used",)),
]

# Of each model in the admin: the list, one row, adding, deleting. Below the staff all is shut.
ADMINISTERED = {
    # model: (operator's, administrator's and superuser's)
    "policies.policyrecord": ((200, 200, 403, 200), (200, 200, 200, 200)),
    "policies.apitoken": ((403, 403, 403, 403), (200, 200, 200, 200)),
    "policies.policyexception": ((200, 200, 200, 403), (200, 200, 200, 200)),
    "policies.fetch": ((200, 200, 403, 403), (200, 200, 403, 403)),
    "auth.user": ((403, 403, 403, 403), (200, 200, 200, 200)),
    "auth.group": ((403, 403, 403, 403), (200, 200, 200, 200)),
    "axes.accessattempt": ((403, 403, 403, 403), (200, 200, 403, 200)),
    "axes.accesslog": ((403, 403, 403, 403), (200, 200, 403, 200)),
    "axes.accessfailurelog": ((403, 403, 403, 403), (200, 200, 403, 200)),
    "django_q.schedule": ((403, 403, 403, 403), (200, 200, 200, 200)),
    "django_q.success": ((403, 403, 403, 403), (200, 200, 403, 200)),
    "django_q.failure": ((403, 403, 403, 403), (200, 200, 403, 200)),
    "django_q.ormq": ((403, 403, 403, 403), (200, 200, 403, 200)),
}


@pytest.fixture(autouse=True)
def _near_resolver(change_environment: Callable[..., None]) -> None:
    """Status asks the resolver: one where nobody listens says no at once."""
    change_environment(nameservers=(Address("127.0.0.1", 1),), dns_timeout=0.5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_address_answers_each_role_as_it_should(case: Case, as_: As) -> None:
    someone("superuser")  # with a user there is no setup
    making.alert(CACHED, pk=1)
    answers = {}
    for role in ROLES:
        PolicyRecord.objects.all().delete()
        making.record(CACHED)
        exceptions_made()
        answers[role] = ask(as_(role), case)
    assert answers == dict(zip(ROLES, case.statuses, strict=True))


def exceptions_made() -> None:
    """One that an operator may change, and a pause unless that is to be made."""
    PolicyException.objects.all().delete()
    given = {"action": "skip", "reason": "r", "owner": "o", "until": timezone.now() + making.DAY}
    PolicyException.objects.create(pk=int(ORDINARY), scope="domain", target=CACHED, **given)
    # One without `ended` would be in the way of the pause that is tried.
    PolicyException.objects.create(pk=int(PAUSE), scope="everything", ended=timezone.now(), **given)


def ask(client: Client, case: Case) -> int:
    """The status; a piece of a page is sent to the login by a header of its own."""
    path = reverse(case.route, args=case.arguments)
    headers = {"hx-request": "true"} if case.htmx else {}
    send = client.get if case.method == "GET" else client.post
    response = send(path, case.data, headers=headers)
    if "HX-Redirect" in response.headers:
        return LOGIN
    if response.status_code == LOGIN and case.route != "policies:home":
        assert response.headers["Location"].startswith(("/accounts/login/", "/"))
    return int(response.status_code)


def test_somebody_without_login_is_sent_to_it_and_comes_back(as_: As) -> None:
    someone("superuser")
    response = as_("anonymous").get("/policies/?mode=enforce")
    assert response.headers["Location"] == "/accounts/login/?next=/policies/%3Fmode%3Denforce"


def test_no_address_of_the_product_is_left_out() -> None:
    tried = {case.route for case in CASES}
    assert set(routes(get_resolver().url_patterns)) == tried, "put the new ones into CASES"


def routes(patterns: list[URLPattern | URLResolver], namespace: str = "") -> Iterator[str]:
    """The names of all addresses but the admin's, which has a table of its own."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name}"
        elif pattern.namespace != "admin":
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from routes(pattern.url_patterns, namespace + inner)


@pytest.mark.parametrize("label", ADMINISTERED)
def test_the_admin_opens_to_whom_it_should(label: str, as_: As) -> None:
    operator, administrator = ADMINISTERED[label]
    given = {role: tuple(admin_pages(label, as_(role))) for role in ROLES}
    assert given == {
        "anonymous": (LOGIN,) * 4,
        "nobody": (403,) * 4,
        "viewer": (403,) * 4,
        "operator": operator,
        "administrator": administrator,
        "superuser": administrator,
    }


def admin_pages(label: str, client: Client) -> Iterator[int]:
    route = f"admin:{label.replace('.', '_')}"
    pk = row_of(label)
    yield client.get(reverse(f"{route}_changelist")).status_code
    yield client.get(reverse(f"{route}_change", args=[pk])).status_code
    yield client.get(reverse(f"{route}_add")).status_code
    yield client.get(reverse(f"{route}_delete", args=[pk])).status_code


def row_of(label: str) -> object:
    """The key of a row of this model, made where there is none."""
    model = next(model for model in admin.site._registry if model._meta.label_lower == label)
    existing = model._default_manager.first()
    return (existing or MAKERS[label]()).pk


def _attempt(name: str, **more: object) -> object:
    from axes import models

    return getattr(models, name).objects.create(username="somebody", ip_address="::1", **more)


def _task(success: bool) -> object:
    from django.utils import timezone
    from django_q.models import Task

    now = timezone.now()
    return Task.objects.create(
        id=f"task-{success}", name="a-task", func="policies.tasks.tick",
        started=now, stopped=now, success=success, result="fell",
    )  # fmt: skip


def _queued() -> object:
    from django_q.models import OrmQ

    from policies import tasks

    tasks.request_refetch(making.record("queued.example").name, None)
    return OrmQ.objects.get()


def _fetch() -> object:
    from policies.models import Fetch

    return Fetch.objects.create(domain=CACHED, source="lookup", state="done")


def _token() -> object:
    from django.utils import timezone

    from policies import tokens

    return tokens.make(someone("viewer"), "a script", timezone.now() + tokens.LIFETIME)[0]


def _exception() -> object:
    exceptions_made()
    return PolicyException.objects.get(pk=int(ORDINARY))


MAKERS = {
    "policies.apitoken": _token,
    "policies.policyexception": _exception,
    "policies.policyrecord": lambda: making.record(CACHED),
    "policies.fetch": _fetch,
    "axes.accessattempt": lambda: _attempt("AccessAttempt", failures_since_start=1),
    "axes.accesslog": lambda: _attempt("AccessLog"),
    "axes.accessfailurelog": lambda: _attempt("AccessFailureLog"),
    "django_q.success": lambda: _task(True),
    "django_q.failure": lambda: _task(False),
    "django_q.ormq": _queued,
    "auth.user": lambda: someone("superuser"),
}


def test_no_model_of_the_admin_is_left_out() -> None:
    registered = {model._meta.label_lower for model in admin.site._registry}
    assert registered == set(ADMINISTERED), "put the new ones into ADMINISTERED"


def test_the_admin_index_is_for_staff(as_: As) -> None:
    given = [as_(role).get("/admin/").status_code for role in ROLES]
    assert given == [LOGIN, 403, 403, 200, 200, 200]


def test_an_operator_who_is_not_staff_operates_but_edits_nothing(as_: As) -> None:
    User.objects.filter(pk=someone("operator").pk).update(is_staff=False)
    row = making.record(CACHED)
    client = as_("operator")
    assert client.get("/admin/policies/policyrecord/").status_code == 403
    assert client.post(f"/policies/{CACHED}/refetch/").status_code == 303
    edit = reverse("admin:policies_policyrecord_change", args=[row.pk])
    assert edit not in client.get(f"/policies/{CACHED}/").content.decode()


OFFERS = (b"Refetch", b"Delete", b">Edit<", b'href="/admin/')


def test_the_pages_offer_only_what_one_may_do(as_: As) -> None:
    making.record(CACHED)
    offers = {}
    for role in ("viewer", "operator"):
        client = as_(role)
        html = client.get("/policies/").content + client.get(f"/policies/{CACHED}/").content
        offers[role] = [word in html for word in OFFERS]
    assert offers == {"viewer": [False] * 4, "operator": [True] * 4}


def test_a_setup_link_is_for_anybody_while_nobody_can_log_in(as_: As) -> None:
    path = setup.make_link().partition("8000")[2]
    assert as_("anonymous").get(path).status_code == 200
