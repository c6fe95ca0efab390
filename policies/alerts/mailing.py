"""One mail, handed to the mail server within a deadline.

Django's timeout is for each step: a server that says a word now and then would hold the tick for
hours. So a thread talks to it, and is waited for only so long.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from smtplib import SMTPException
from typing import Any

from django.core.mail import EmailMessage, get_connection

from policies.alerts.undelivered import NotDeliveredError

SECONDS = 30.0
"""For all of it, from the look-up of the mail server's name to its last word."""

_talking: list[threading.Thread] = []
"""The thread that was not waited for any longer: there is one at the most."""


def send(mail: EmailMessage, seconds: float | None = None) -> None:
    """Hand `mail` over. Raises NotDeliveredError unless the server takes it in `SECONDS`, or these.

    A server that is too slow is left. Where it takes the mail all the same, the next try brings a
    second copy, of the same Message-ID.
    """
    if any(thread.is_alive() for thread in _talking):
        raise NotDeliveredError("the mail server: it still holds on to the mail before")
    _talking.clear()
    seconds = SECONDS if seconds is None else seconds
    mail.connection = get_connection()
    ended: Future[None] = Future()
    thread = threading.Thread(target=_talk, args=(mail, ended), name="mail", daemon=True)
    thread.start()
    try:
        ended.result(timeout=seconds)
    except (SMTPException, OSError) as error:
        if not ended.done():  # it is the deadline's
            _talking.append(thread)
            _hang_up(mail.connection)
            raise NotDeliveredError(f"the mail server: no end in {seconds:g} seconds") from error
        raise NotDeliveredError(f"the mail server: {type(error).__name__}: {error}") from error


def _talk(mail: EmailMessage, ended: Future[None]) -> None:
    try:
        mail.send()
    except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
        ended.set_exception(error)
    else:
        ended.set_result(None)


def _hang_up(connection: Any) -> None:
    """Have the thread end at once, where the server has come to speak SMTP."""
    sock = getattr(getattr(connection, "connection", None), "sock", None)
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
