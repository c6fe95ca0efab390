"""A user changes the own password, with or without staff status."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from tests.pages.conftest import As, someone

pytestmark = pytest.mark.django_db

OLD, NEW = "a long and lonely road", "another road, much longer"
FORM = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}


@pytest.fixture
def viewer(as_: As) -> Client:
    user = someone("viewer")
    user.set_password(OLD)
    user.save()
    return as_("viewer")


def logs_in(password: str) -> bool:
    user = User.objects.get(username="viewer")
    return user.check_password(password)


def test_the_new_one_counts_and_this_browser_stays_logged_in(viewer: Client, as_: As) -> None:
    elsewhere = as_("viewer")
    answer = viewer.post("/accounts/password/", FORM)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert (logs_in(OLD), logs_in(NEW)) == (False, True)
    assert b"Your password is changed" in viewer.get("/policies/").content
    assert elsewhere.get("/policies/").status_code == 302


def test_it_is_in_the_log_without_the_password(viewer: Client) -> None:
    viewer.post("/accounts/password/", FORM)
    html = viewer.get("/audit/").content.decode()
    assert "Changed their own password." in html
    assert NEW not in str(LogEntry.objects.values())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"old_password": "a guess"}, "Your old password was entered incorrectly"),
        ({"new_password2": "a slip"}, "The two password fields didn"),
        ({"new_password1": "12345678", "new_password2": "12345678"}, "entirely numeric"),
        ({"new_password1": "", "new_password2": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    wrong: dict[str, str], says: str, viewer: Client
) -> None:
    answer = viewer.post("/accounts/password/", FORM | wrong)
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert logs_in(OLD)
    assert LogEntry.objects.count() == 0


def test_guessing_the_old_one_is_slowed_down_like_a_login(viewer: Client) -> None:
    wrong = FORM | {"old_password": "a guess"}
    answers = [
        viewer.post("/accounts/password/", wrong).status_code
        for _ in range(settings.AXES_FAILURE_LIMIT)
    ]
    assert answers == [200] * (settings.AXES_FAILURE_LIMIT - 1) + [429]
    assert viewer.post("/accounts/password/", FORM).status_code == 429
    assert logs_in(OLD)
    login = {"username": "viewer", "password": OLD}
    assert Client().post("/accounts/login/", login).status_code == 429
    elsewhere = Client().post("/accounts/login/", login, REMOTE_ADDR="192.0.2.7")
    assert elsewhere.status_code == 302


def test_the_admin_leads_to_the_same_page(as_: As) -> None:
    answer = as_("superuser").post("/admin/password_change/", FORM)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/password/")


def test_the_menu_of_every_page_leads_there(viewer: Client) -> None:
    assert b'href="/accounts/password/"' in viewer.get("/policies/").content
