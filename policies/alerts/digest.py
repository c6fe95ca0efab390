"""The daily mail: what is new, what is still open, what is over, and what lies ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.conf import settings

from policies import exceptions
from policies.alerts import outbox, texts, weather
from policies.models import Alert, Message

LONGEST = timedelta(days=7)
"""How far back "new" goes after a time without digests."""

READ = 1000
"""Alerts of one section that are read."""

ENDING = timedelta(days=2)
"""Exceptions that end within so long are announced."""


Foreseen = Callable[[datetime], Sequence[str]]
"""A line for each thing that will go wrong, worst first."""


def nothing(_now: datetime) -> Sequence[str]:
    """For those who foresee nothing."""
    return ()


def make(now: datetime, foreseen: Foreseen = nothing) -> bool:
    """Put today's digest into the outbox where it is time and nobody has; whether it was made.

    `foreseen` is asked once a day at most. All machines try; the key lets one in. A day without
    anything to say has an empty one, which is not sent.
    """
    environment = settings.MTASTS
    if not environment.alert_email_to or now.hour < environment.alert_digest_hour:
        return False
    day = f"{now:%Y-%m-%d}"
    digests = Message.objects.filter(key__startswith="digest:")
    if digests.filter(key__startswith=f"digest:{day}").exists():
        return False
    last = digests.order_by("-created").values_list("created", flat=True).first()
    since = max(last, now - LONGEST) if last else now - timedelta(days=1)
    alerts = Alert.objects.defer("before_text", "after_text", "evidence")
    # Our own resolver may have told it, and then it is nothing to mail.
    still = alerts.filter(closed_at=None).exclude(weather.doubtful(now))
    over = alerts.filter(closed_at__gt=since).exclude(weather.SEEN_ONCE)
    subject, body = texts.digest(
        opened=list(still.filter(opened_at__gt=since)[:READ]),
        still=list(still.filter(opened_at__lte=since)[:READ]),
        closed=list(over[:READ]),
        ending=[
            f"exception for {row.target or 'everything'}: {exceptions.said(row)}"
            for row in exceptions.ending_within(ENDING, now)[:READ]
        ],
        ahead=foreseen(now),
    )
    return outbox.put_digest(day, subject, body, now)
