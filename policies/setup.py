"""The first login: a link that works once, for an hour, and not after the first user."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.models import ADDITION
from django.contrib.auth.models import User
from django.db import transaction
from django.http.request import split_domain_port, validate_host
from django.urls import reverse
from django.utils import timezone

from mtastsweb.environment import PROGRAM
from mtastsweb.values import Address
from policies import audit
from policies.audit import COMMAND_LINE
from policies.models import SetupLink

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - not to listen on, but to know that one does

LIFETIME = timedelta(hours=1)


class SetupClosed(Exception):
    """There is a user already, or the link is used, too old, or none of ours."""


def is_open() -> bool:
    """Whether nobody can log in yet. The command line's entry in the log is nobody."""
    return not User.objects.exclude(username=COMMAND_LINE, is_active=False).exists()


def make_link() -> str:
    """A new link; those made before stop working. Raises SetupClosed once there is a user."""
    if not is_open():
        raise SetupClosed(f"there is a user already: log in, or use `{PROGRAM} changepassword`")
    token = secrets.token_urlsafe(24)
    with transaction.atomic():
        SetupLink.objects.all().delete()
        SetupLink.objects.create(digest=_digest(token), created=timezone.now())
    return f"{_origin()}{reverse('policies:setup', args=[token])}"


def _origin() -> str:
    """Where browsers reach us, under a name that is answered."""
    environment = settings.MTASTS
    if environment.public_url:
        return environment.public_url
    named = [host.removeprefix(".") for host in environment.allowed_hosts if host != "*"]
    name = named[0] if named else "localhost"
    if environment.web_https:
        return f"https://{name}"
    listen = environment.web_listen
    if listen.host in EVERY_ADDRESS or not _is_answered(listen):
        return f"http://{name}:{listen.port}"
    return f"http://{listen}"


def _is_answered(listen: Address) -> bool:
    host, _port = split_domain_port(str(listen).lower())
    return validate_host(host, settings.MTASTS.allowed_hosts)


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
        user = User.objects.create_superuser(username=username, password=password)
        audit.log(user, [user], ADDITION, "Made by the setup link, as one who may do everything.")
        return user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
