"""Who may read the feed, and what the others are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from policies import tokens
from policies.api.access import WRONG_TOKENS
from policies.models import ApiToken
from tests.api.conftest import Get
from tests.pages.conftest import As, someone

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/policies/"
HOUR = timedelta(hours=1)


def ask(authorization: str | None, method: str = "get", path: str = ADDRESS) -> HttpResponse:
    headers = {} if authorization is None else {"authorization": authorization}
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    answer: HttpResponse = getattr(client, method)(path, headers=headers)
    return answer


def test_a_token_opens_the_feed(token: str) -> None:
    answer = ask(f"Bearer {token}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "no-store" in answer.headers["Cache-Control"]
    assert not answer.cookies


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(token: str, scheme: str) -> None:
    assert ask(f"{scheme} {token}").status_code == 200


def test_without_a_token_one_is_asked_for() -> None:
    answer = ask(None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mtastsweb"'
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "shown", ["Bearer", "Bearer ", "Bearer x", "Basic eDp5", "Bearer \x00", "é"]
)
def test_what_is_no_token_is_refused(shown: str, token: str) -> None:
    answer = ask(shown)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_session_is_no_token(as_: As) -> None:
    assert as_("superuser").get(ADDRESS).status_code == 401


@pytest.mark.parametrize("end", ["expired", "revoked", "inactive owner", "owner gone", "deleted"])
def test_a_token_ends(token: str, end: str) -> None:
    row = ApiToken.objects.get()
    if end == "expired":
        ApiToken.objects.update(expires=timezone.now())
    elif end == "revoked":
        assert tokens.revoke([row], timezone.now()) == 1
    elif end == "inactive owner":
        row.owner.is_active = False
        row.owner.save()
    elif end == "owner gone":
        row.owner.delete()
    else:
        row.delete()
    assert ask(f"Bearer {token}").status_code == 401


def test_a_token_sees_no_more_than_its_owner(token: str) -> None:
    someone("viewer").groups.clear()
    answer = ask(f"Bearer {token}")
    assert answer.status_code == 403
    assert "policies.view_policyrecord" in answer.json()["detail"]


def test_exceptions_have_a_permission_of_their_own(token: str) -> None:
    Group.objects.get(name="viewer").permissions.filter(codename="view_policyexception").delete()
    assert ask(f"Bearer {token}", path="/api/v1/exceptions/").status_code == 403
    assert ask(f"Bearer {token}").status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_nothing_can_be_changed(token: str, method: str) -> None:
    answer = ask(f"Bearer {token}", method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.json()["title"] == "Method Not Allowed"


def test_head_is_a_get_without_a_body(token: str) -> None:
    answer = ask(f"Bearer {token}", "head")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/api/v1/policie/", "/api/v2/", "/api/v1/policies/a/b/"])
def test_what_is_not_there_is_said_as_an_object(token: str, path: str) -> None:
    assert ask(None, path=path).status_code == 401
    answer = ask(f"Bearer {token}", path=path)
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


@pytest.mark.parametrize("domain", ["absent.example", "not a name", "192.0.2.1"])
def test_a_domain_that_is_not_cached_is_not_found(get: Get, domain: str) -> None:
    answer = get(f"/api/v1/policies/{domain}/")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_many_wrong_tokens_are_told_to_wait_and_a_right_one_is_let_in(token: str) -> None:
    answers = [ask("Bearer wrong") for _ in range(WRONG_TOKENS + 1)]
    assert [answer.status_code for answer in answers] == [401] * WRONG_TOKENS + [429]
    assert answers[-1].headers["Retry-After"] == "900"
    assert ask(f"Bearer {token}").status_code == 200


class TestTokens:
    def test_are_kept_as_digests(self, token: str) -> None:
        assert token.startswith(tokens.PREFIX)
        assert len(token) > 40
        assert token not in str(list(ApiToken.objects.values()))

    def test_the_last_use_is_written_once_an_hour(self, token: str) -> None:
        ask(f"Bearer {token}")
        first = ApiToken.objects.get().last_used
        assert first is not None
        ask(f"Bearer {token}")
        assert ApiToken.objects.get().last_used == first
        ApiToken.objects.update(last_used=first - HOUR)
        ask(f"Bearer {token}")
        assert ApiToken.objects.get().last_used >= first

    def test_revoking_twice_keeps_the_first_time(self, token: str) -> None:
        row = ApiToken.objects.get()
        now = timezone.now()
        tokens.revoke([row], now)
        assert tokens.revoke([row], now + HOUR) == 0
        assert ApiToken.objects.get().revoked == now


class TestAdmin:
    ADD = "/admin/policies/apitoken/add/"

    def make(self, as_: As, **fields: str) -> HttpResponse:
        then = timezone.now() + timedelta(days=30)
        form = {
            "name": "grafana", "owner": str(someone("viewer").pk),
            "expires_0": then.strftime("%Y-%m-%d"), "expires_1": "12:00:00",
        }  # fmt: skip
        return as_("administrator").post(self.ADD, form | fields)

    def test_makes_a_token_and_shows_it_once(self, as_: As) -> None:
        answer = self.make(as_)
        assert answer.status_code == 200
        page = answer.content.decode()
        shown = page.partition("Bearer ")[2].partition("<")[0]
        assert ask(f"Bearer {shown}").status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        row = ApiToken.objects.get()
        assert (row.name, row.owner.username) == ("grafana", "viewer")
        for address in ("/admin/policies/apitoken/", f"/admin/policies/apitoken/{row.pk}/change/"):
            assert shown not in as_("administrator").get(address).content.decode()
        assert "grafana" in as_("administrator").get("/audit/").content.decode()

    def test_offers_a_year_and_oneself(self, as_: As) -> None:
        page = as_("administrator").get(self.ADD).content.decode()
        assert (timezone.now() + tokens.LIFETIME).strftime("%Y-") in page
        assert f'value="{someone("administrator").pk}" selected' in page

    def test_refuses_an_end_that_has_passed(self, as_: As) -> None:
        answer = self.make(as_, expires_0="2020-01-01")
        assert b"This has passed already" in answer.content
        assert not ApiToken.objects.exists()

    def test_revokes(self, as_: As, token: str) -> None:
        chosen = {"action": "revoke", "_selected_action": str(ApiToken.objects.get().pk)}
        as_("administrator").post("/admin/policies/apitoken/", chosen)
        assert ask(f"Bearer {token}").status_code == 401
        assert b"revoked" in as_("administrator").get("/admin/policies/apitoken/").content

    def test_is_closed_to_operators(self, as_: As) -> None:
        assert as_("operator").get(self.ADD).status_code == 403
