"""API tokens: made, found by what a script shows, noted as used, revoked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q

from policies.models import ApiToken

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PREFIX = "mtasts_"
"""Every token begins so, for those who look for secrets where none should be."""

LIFETIME = timedelta(days=365)
"""Of a token whose maker says nothing else."""

NOTED = timedelta(hours=1)
"""How exactly the last use is known: a script that asks each second is not to write each second."""


def make(owner: User, name: str, expires: datetime) -> tuple[ApiToken, str]:
    """A new token: its row, and what is to be shown once and never again."""
    row = ApiToken(owner=owner, name=name, expires=expires)
    token = draw(row)
    row.save()
    return row, token


def draw(row: ApiToken) -> str:
    """A secret for a row that is not saved yet."""
    token = PREFIX + secrets.token_urlsafe(32)
    row.digest = _digest(token)
    return token


def find(token: str, now: datetime) -> ApiToken | None:
    """The row of a token that is worth something now, with its owner."""
    valid = ApiToken.objects.filter(
        digest=_digest(token), revoked=None, expires__gt=now, owner__is_active=True
    )
    return valid.select_related("owner").first()


def note_use(row: ApiToken, now: datetime) -> None:
    """It was used now; written once an hour."""
    if row.last_used is not None and now - row.last_used < NOTED:
        return
    unnoted = Q(last_used=None) | Q(last_used__lte=now - NOTED)
    ApiToken.objects.filter(unnoted, pk=row.pk).update(last_used=now)


def revoke(rows: Iterable[ApiToken], now: datetime) -> int:
    """End these at once; how many of them were not revoked yet."""
    return ApiToken.objects.filter(pk__in=[row.pk for row in rows], revoked=None).update(
        revoked=now
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
