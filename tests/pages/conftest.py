"""Who looks at the pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

ROLES = ("anonymous", "nobody", "viewer", "operator", "administrator", "superuser")
"""Nobody has a login and no role. Operators and administrators are staff, or the admin is shut."""

STAFF = ("operator", "administrator", "superuser")

As = Callable[..., Client]


@pytest.fixture
def as_() -> As:
    """`as_("operator")`: the browser of somebody with this role."""

    def browser(role: str, **options: bool) -> Client:
        client = Client(raise_request_exception=False, **options)
        if role != "anonymous":
            client.force_login(someone(role), "django.contrib.auth.backends.ModelBackend")
        return client

    return browser


def someone(role: str) -> User:
    """The user of this name; made with the role of this name where there is none yet."""
    user, created = User.objects.get_or_create(
        username=role, defaults={"is_staff": role in STAFF, "is_superuser": role == "superuser"}
    )
    if created and role not in ("nobody", "superuser"):
        user.groups.add(Group.objects.get(name=role))
    return user
