"""The first login: a link that works once, for an hour, and not after the first user."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from policies.audit import COMMAND_LINE
from policies.models import SetupLink

LIFETIME = timedelta(hours=1)


class SetupClosed(Exception):
    """There is a user already, or the link is used, too old, or none of ours."""


def is_open() -> bool:
    """Whether nobody can log in yet. The command line's entry in the log is nobody."""
    return not User.objects.exclude(username=COMMAND_LINE, is_active=False).exists()


def make_link() -> str:
    """A new link; those made before stop working. Raises SetupClosed once there is a user."""
    if not is_open():
        raise SetupClosed("there is a user already: log in, or use `manage.py changepassword`")
    token = secrets.token_urlsafe(24)
    with transaction.atomic():
        SetupLink.objects.all().delete()
        SetupLink.objects.create(digest=_digest(token), created=timezone.now())
    scheme = "https" if settings.MTASTS.web_https else "http"
    return f"{scheme}://{_host()}{reverse('policies:setup', args=[token])}"


def _host() -> str:
    """Where browsers reach us: the public name behind a proxy, else the web address itself."""
    named = [host for host in settings.ALLOWED_HOSTS if host.strip("*.[]")]
    if settings.MTASTS.web_https and named:
        return str(named[0])
    return str(settings.MTASTS.web_listen)


def check(token: str) -> None:
    """Raises SetupClosed unless this link may make the first user now."""
    made_after = timezone.now() - LIFETIME
    known = SetupLink.objects.filter(digest=_digest(token), created__gt=made_after).exists()
    if not known or not is_open():
        raise SetupClosed("the link is used or older than an hour")


def use(token: str, username: str, password: str) -> User:
    """Make the first user, who may do all, and use the link up. Raises SetupClosed."""
    with transaction.atomic():
        # Of two who use the link at once, one deletes it; the other finds it gone.
        made_after = timezone.now() - LIFETIME
        links = SetupLink.objects.filter(digest=_digest(token), created__gt=made_after)
        deleted, _ = links.delete()
        if not deleted or not is_open():
            raise SetupClosed("the link is used or older than an hour")
        return User.objects.create_superuser(username=username, password=password)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
