"""What is to be sent is written with what it tells of, and sent later by a worker.

So nothing is lost when a process dies, and nothing is made twice: each message has a key.
`policies.alerts.delivery` sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from policies.alerts import texts
from policies.alerts.kinds import Closed, Severity
from policies.models import Alert, Message

TOLD_FOR = timedelta(days=3)
"""How long a message that was given up is shown."""

COUNTED = 100


def put_alert(alert: Alert, now: datetime) -> None:
    """A warning is confirmed and goes out, as is set. To be called in a transaction."""
    messages = []
    key = f"alert:{alert.pk}:confirmed:{alert.reopened}"
    if settings.MTASTS.alert_email_to and settings.MTASTS.alert_email_at_once:
        subject, body = texts.mail_of_alert(alert)
        messages.append(_message(key, Message.Channel.MAIL, subject, body, now))
    if settings.MTASTS.alert_webhook_url:
        body = texts.json_of_alert(alert, "alert.confirmed", now)
        messages.append(_message(key, Message.Channel.WEBHOOK, "", body, now))
    _put(messages)


def put_end(alert: Alert, because: Closed, now: datetime) -> None:
    """An alert is over: whoever was told of it by webhook is told this, too."""
    was_told = alert.confirmed_at is not None and alert.severity == Severity.WARNING
    if not was_told or not settings.MTASTS.alert_webhook_url:
        return
    alert.closed_at, alert.closed_because = now, str(because)
    body = texts.json_of_alert(alert, "alert.closed", now)
    key = f"alert:{alert.pk}:closed:{alert.reopened}"
    _put([_message(key, Message.Channel.WEBHOOK, "", body, now)])


def put_digest(day: str, subject: str, body: str, now: datetime) -> bool:
    """A day's digest; whether it was made just now, and not on another machine.

    Without a body there was nothing to say, which is noted all the same.
    """
    message = _message(f"digest:{day}", Message.Channel.MAIL, subject, body, now)
    if not body:
        message.due_at = None
    _put([message])
    return Message.objects.filter(key=message.key, created=now).exists()


def _message(key: str, channel: Message.Channel, subject: str, body: str, now: datetime) -> Message:
    return Message(
        key=f"{key}:{channel}",
        channel=channel,
        subject=subject[:255],
        body=body,
        created=now,
        due_at=now,
    )


def _put(messages: list[Message]) -> None:
    Message.objects.bulk_create(messages, ignore_conflicts=True)


@dataclass(frozen=True, slots=True)
class Stuck:
    """Messages that did not go out at the first try. `error`: of the latest."""

    number: int
    error: str


def stuck(now: datetime) -> Stuck | None:
    """What is being tried again, or was given up within a day; None for nothing. One query."""
    late = Message.objects.filter(
        Q(due_at__isnull=False) | Q(created__gte=now - TOLD_FOR), sent_at=None, attempts__gt=0
    ).exclude(error="")
    errors = list(late.values_list("error", flat=True)[:COUNTED])
    return Stuck(len(errors), errors[0]) if errors else None
