"""Where alerts go: a mail server and a receiver of webhooks, both real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

pytest.importorskip("aiosmtpd", reason="pip install -r requirements-dev.txt")

from tests.alerts.receivers import Hook, Mailbox, mail_server, receiver


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        yield mailbox


@pytest.fixture
def hook() -> Iterator[Hook]:
    with receiver() as hook:
        yield hook
