"""Questions that pages ask before many policies are changed: each is answered once.

The question itself is kept nowhere: what it named is signed, and stands in its form. Only that it
was answered is noted, where all machines see it. So neither a double click nor the back button,
which brings a form back as it was, does a second time what was asked once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core import signing
from django.utils import timezone

from policies import leases

OPEN_FOR = timedelta(days=1)
"""How long a question waits for its answer; one that is older is asked again."""

ANSWERED = "answered "
"""Begins the name of the note that a question was answered."""

_SALT = "policies.questions"


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: about so many rows. `nonce` tells it from others that ask the same."""

    nonce: str
    count: int


def ask(user: int, about: list[str], count: int) -> str:
    """A new question for this user, to be put into its form. `about`: what would be done to what;
    `count`: how many rows that were when it was asked."""
    said = [user, _digest(about), count, secrets.token_urlsafe(12)]
    return signing.dumps(said, salt=_SALT)


def read(text: str, user: int, about: list[str]) -> Question | None:
    """From a form; None for what is no question of ours to this user about that, or is too old."""
    try:
        asked, digest, count, nonce = signing.loads(text, salt=_SALT, max_age=OPEN_FOR)
    except signing.BadSignature:
        return None
    return Question(nonce, count) if (asked, digest) == (user, _digest(about)) else None


def answer(question: Question) -> bool:
    """Whether this is its first answer. To be called in a transaction with what then is done: of
    two answers at once the second one waits for the end of the first."""
    return leases.take(f"{ANSWERED}{question.nonce}", timezone.now() + OPEN_FOR)


def forget(now: datetime) -> None:
    """The notes about questions that are too old to be answered again."""
    leases.forget(ANSWERED, now)


def _digest(about: list[str]) -> str:
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
