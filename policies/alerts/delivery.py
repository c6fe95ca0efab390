"""What waits in the outbox goes out: by a worker, one at a time, tried again for days.

A message is claimed before it is sent and marked after it. Who dies between the two leaves it to
be taken up again, so it goes out at least once; its id tells a second copy.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F, QuerySet

from policies.alerts import mailing, webhook
from policies.alerts.undelivered import NotDeliveredError
from policies.models import Message

log = logging.getLogger(__name__)

FOR = 20.0
"""Seconds after which a tick begins with no other message."""

A_MINUTE = 30
"""Messages that go out in any minute, whoever sends them: a receiver is not to be flooded."""

MINUTE = timedelta(minutes=1)

CLAIMED = timedelta(minutes=5)
"""When a message whose sender died is taken up again."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
GIVEN_UP = timedelta(days=2)
"""After so long nobody wants to hear of it by this way any more; the pages still tell."""

KEPT = timedelta(days=90)

BATCH = 500
"""Messages that are forgotten at a time."""

ERROR_KEPT = 500


def send_due(now: datetime, seconds: float = FOR) -> int:
    """Send what is due, the oldest first; how many went out. No other is begun after `seconds`.

    Of a channel that fails no more is tried this time: what is behind it would fail alike.
    """
    if not Message.objects.filter(due_at__lte=now).exists():
        return 0
    began, sent = time.monotonic(), 0
    broken: set[str] = set()

    def at() -> datetime:
        return now + timedelta(seconds=time.monotonic() - began)

    while time.monotonic() - began <= seconds and _sent_lately(at()) < A_MINUTE:
        message = _claim(now, broken)
        if message is None:
            break
        try:
            _send(message, now)
        except NotDeliveredError as error:
            broken.add(message.channel)
            _put_off(message, str(error), now)
        except Exception as error:  # the next message may be a better one
            log.exception("a message cannot be sent", extra={"key": message.key})
            _put_off(message, f"{type(error).__name__}: {error}", now)
        else:
            _mine(message).update(sent_at=at(), due_at=None, claim="", error="")
            sent += 1
    return sent


def prune(now: datetime) -> None:
    """Forget what was sent or given up long ago, or as much as goes at once."""
    old = Message.objects.filter(created__lt=now - KEPT).order_by("created")
    if chosen := list(old.values_list("pk", flat=True)[:BATCH]):
        Message.objects.filter(pk__in=chosen).delete()


def _sent_lately(now: datetime) -> int:
    """How many went out within a minute, from here or from another machine."""
    # What is sent now was made in the last days: the index knows when.
    made = Message.objects.filter(created__gt=now - GIVEN_UP - LONGEST_PAUSE)
    return made.filter(sent_at__gt=now - MINUTE).count()


def _claim(now: datetime, broken: set[str]) -> Message | None:
    """The message that is due longest, ours for a while; None for none."""
    due = Message.objects.filter(due_at__lte=now).exclude(channel__in=broken).order_by("due_at")
    for message in due[:A_MINUTE]:
        token = uuid.uuid4().hex
        free = Message.objects.filter(pk=message.pk, due_at=message.due_at)
        if free.update(claim=token, due_at=now + CLAIMED, attempts=F("attempts") + 1):
            message.claim, message.attempts = token, message.attempts + 1
            return message
    return None


def _mine(message: Message) -> QuerySet[Message]:
    return Message.objects.filter(pk=message.pk, claim=message.claim)


def _send(message: Message, now: datetime) -> None:
    """Raises NotDeliveredError."""
    if message.channel == Message.Channel.MAIL:
        _mail(message)
        return
    environment = settings.MTASTS
    if not environment.alert_webhook_url:
        raise NotDeliveredError("ALERT_WEBHOOK_URL is no longer set")
    fields = webhook.headers(message.body, message.key, environment.alert_webhook_secret, now)
    webhook.post(environment.alert_webhook_url, message.body, fields)


def _mail(message: Message) -> None:
    environment = settings.MTASTS
    if not environment.alert_email_to:
        raise NotDeliveredError("ALERT_EMAIL_TO is no longer set")
    sender = environment.alert_email_from
    unique = hashlib.sha256(message.key.encode()).hexdigest()[:32]
    mail = EmailMessage(
        message.subject,
        message.body,
        sender,
        list(environment.alert_email_to),
        headers={
            "Message-ID": f"<{message.created:%Y%m%d}.{unique}@{sender.rpartition('@')[2]}>",
            "Auto-Submitted": "auto-generated",  # so that no vacation answers (RFC 3834)
        },
    )
    mailing.send(mail)


def _put_off(message: Message, error: str, now: datetime) -> None:
    is_over = now - message.created > GIVEN_UP
    pause = min(FIRST_PAUSE * 2 ** min(message.attempts - 1, 10), LONGEST_PAUSE)
    _mine(message).update(
        due_at=None if is_over else now + pause, claim="", error=error[:ERROR_KEPT]
    )
    log.log(
        logging.ERROR if is_over else logging.WARNING,
        "message given up" if is_over else "message not delivered yet",
        extra={"key": message.key, "attempts": message.attempts, "error": error},
    )
