"""What alerts send, to a real mail server and a real receiver: once, and in the end."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiosmtpd", reason="pip install -r requirements-dev.txt")
pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

import trustme
from django.core.mail import EmailMessage
from pytest_django.fixtures import Settings

from mtastsweb.environment import BASE_DIR
from policies import cache, exceptions, trouble
from policies.alerts import delivery, digest, mailing, webhook
from policies.alerts.kinds import Kind
from policies.alerts.undelivered import NotDeliveredError
from policies.models import Alert, Message
from policies.mtasts.errors import NoRecordError
from policies.mtasts.tls import TrustStore
from policies.socketmap.exceptions.checking import ALL
from tests.alerts.receivers import Hook, Mailbox, dripping_mail_server, receiver
from tests.pages import making
from tests.socketmap.exceptions.making import rule
from tests.worlds import NOON, TESTING, Script

pytestmark = pytest.mark.django_db

SECRET = "0123456789abcdef"
HOUR = timedelta(hours=1)
DOMAIN = "example.org"


@pytest.fixture
def told(mailbox: Mailbox, hook: Hook, change_environment: Callable[..., None]) -> None:
    """Both ways are set, and mail goes out at once."""
    change_environment(
        alert_email_to=("ops@example.net", "dns@example.net"),
        alert_email_from="mtastsweb@example.net",
        alert_email_at_once=True,
        alert_webhook_url=hook.url,
        alert_webhook_secret=SECRET,
        public_url="https://mtasts.example.net",
    )


def confirm(script: Script) -> None:
    """A record that was gone for a day and more."""
    script.publish()
    cache.get(DOMAIN)
    script.look = NoRecordError("no TXT record begins 'v=STSv1;'")
    for _ in range(4):
        cache.get(DOMAIN)
        script.pass_(hours=8)
        making.fetched_elsewhere(script.now())
    cache.get(DOMAIN)


@pytest.mark.usefixtures("told")
class TestAConfirmedWarning:
    def test_is_mailed_and_posted_once(self, script: Script, mailbox: Mailbox, hook: Hook) -> None:
        confirm(script)
        assert delivery.send_due(script.now()) == 2
        assert delivery.send_due(script.now() + HOUR) == 0
        (mail,) = mailbox.mails
        assert mail["Subject"] == "MTA-STS: record gone: example.org"
        assert mailbox.recipients == ["ops@example.net", "dns@example.net"]
        assert mail["From"] == "mtastsweb@example.net"
        assert mail["Auto-Submitted"] == "auto-generated"
        text = mail.get_content()
        pk = Alert.objects.get().pk
        for part in (
            "no TXT record begins", "mode enforce", "stays in force until",
            f"https://mtasts.example.net/alerts/{pk}/",
        ):  # fmt: skip
            assert part in text
        ((headers, body),) = hook.posts
        posted = json.loads(body)
        assert posted["event"] == "alert.confirmed"
        assert (posted["domain"], posted["kind"]) == (DOMAIN, "record-gone")
        assert (posted["severity"], posted["state"]) == ("warning", "confirmed")
        assert headers["Content-Type"] == "application/json"

    def test_is_signed_so_that_the_receiver_can_tell(self, script: Script, hook: Hook) -> None:
        confirm(script)
        delivery.send_due(script.now())
        ((headers, body),) = hook.posts
        timestamp = headers["X-Mtastsweb-Timestamp"]
        assert timestamp == str(int(script.now().timestamp()))
        expected = hmac.new(
            SECRET.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256
        ).hexdigest()
        assert headers["X-Mtastsweb-Signature"] == f"sha256={expected}"

    def test_the_documented_check_accepts_it_and_nothing_else(
        self, script: Script, hook: Hook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        confirm(script)
        delivery.send_due(script.now())
        ((headers, body),) = hook.posts
        text = (BASE_DIR / "docs" / "alerts.md").read_text(encoding="utf-8")
        code = text.partition("```python\n")[2].partition("```")[0]
        names: dict[str, Any] = {}
        exec(code, names)
        monkeypatch.setattr(time, "time", lambda: script.now().timestamp())
        assert names["is_ours"](headers, body.encode(), SECRET)
        assert not names["is_ours"](headers, body.encode() + b" ", SECRET)
        assert not names["is_ours"](headers, body.encode(), SECRET + "x")
        monkeypatch.setattr(time, "time", lambda: script.now().timestamp() + 301)
        assert not names["is_ours"](headers, body.encode(), SECRET)

    def test_tells_the_receiver_of_its_end(self, script: Script, hook: Hook) -> None:
        confirm(script)
        delivery.send_due(script.now())
        script.publish()
        cache.get(DOMAIN)
        delivery.send_due(script.now())
        events = [json.loads(body)["event"] for _, body in hook.posts]
        assert events == ["alert.confirmed", "alert.closed"]
        ids = {headers["X-Mtastsweb-Id"] for headers, _ in hook.posts}
        assert len(ids) == 2

    def test_waits_for_a_receiver_that_is_down(
        self, script: Script, mailbox: Mailbox, hook: Hook
    ) -> None:
        confirm(script)
        now = script.now()
        hook.status, mailbox.refuse = 503, "451 later"
        assert delivery.send_due(now) == 0
        assert delivery.send_due(now + timedelta(seconds=30)) == 0
        assert len(hook.posts) == 1
        hook.status, mailbox.refuse = 200, ""
        assert delivery.send_due(now + timedelta(minutes=1)) == 2
        assert len(mailbox.mails) == 1
        assert len({headers["X-Mtastsweb-Id"] for headers, _ in hook.posts}) == 1

    def test_is_tried_ever_more_rarely_and_given_up_after_days(
        self, script: Script, hook: Hook, mailbox: Mailbox
    ) -> None:
        confirm(script)
        hook.status = 500
        now, pauses = script.now(), []
        waiting = Message.objects.filter(channel="webhook")
        while (due := waiting.get().due_at) is not None:
            now = due
            delivery.send_due(now)
            after = waiting.get().due_at
            pauses.append(after - now if after else None)
        minutes = [pause.total_seconds() / 60 for pause in pauses if pause]
        assert minutes[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert timedelta(days=2) < now - waiting.get().created < timedelta(days=2, hours=10)
        assert waiting.get().error == "the receiver answers 500"
        assert pauses[-1] is None

    def test_is_taken_up_again_where_its_sender_died(
        self, script: Script, hook: Hook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        confirm(script)

        def dies(*_: object) -> None:
            raise SystemExit

        with monkeypatch.context() as patched:
            patched.setattr(delivery, "_send", dies)
            with pytest.raises(SystemExit):
                delivery.send_due(script.now())
        assert delivery.send_due(script.now() + delivery.CLAIMED / 2) == 1  # the other one
        assert delivery.send_due(script.now() + delivery.CLAIMED) == 1

    def test_is_not_sent_twice_by_two_workers(self, script: Script, hook: Hook) -> None:
        confirm(script)
        now = script.now()
        first = delivery._claim(now, {"mail"})
        assert first is not None
        assert delivery._claim(now, {"mail"}) is None

    def test_redirects_are_not_followed(self, script: Script, hook: Hook) -> None:
        confirm(script)
        hook.status, hook.location = 307, hook.url
        delivery.send_due(script.now())
        assert len(hook.posts) == 1
        assert Message.objects.get(channel="webhook").error == "the receiver answers 307"

    def test_no_secret_is_in_what_is_kept_or_logged(
        self, script: Script, hook: Hook, caplog: pytest.LogCaptureFixture
    ) -> None:
        confirm(script)
        hook.status = 500
        delivery.send_due(script.now())
        kept = "".join(f"{each.body}{each.error}{each.key}" for each in Message.objects.all())
        assert SECRET not in kept + caplog.text
        assert "room=1" not in kept + caplog.text


class TestWhatIsNotSentAtOnce:
    def test_what_is_only_suspected(self, script: Script, told: None) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.look = NoRecordError("gone")
        cache.get(DOMAIN)
        assert not Message.objects.exists()

    def test_notices(self, script: Script, told: None) -> None:
        script.publish()
        cache.get(DOMAIN)
        script.publish(TESTING, "2")
        for record_id in "23456":
            script.publish(TESTING, record_id)
            cache.get(DOMAIN)
            script.pass_(hours=9)
        assert Alert.objects.get().state == "confirmed"
        assert not Message.objects.exists()

    def test_mail_unless_it_is_asked_for(
        self, script: Script, told: None, change_environment: Callable[..., None]
    ) -> None:
        change_environment(alert_email_at_once=False, alert_webhook_url="")
        confirm(script)
        assert not Message.objects.exists()


@pytest.mark.usefixtures("told")
class TestNoMoreThanThirtyAMinute:
    def wait(self, number: int, now: datetime) -> None:
        for at in range(number):
            Message.objects.create(
                key=f"m{at:03}", channel="webhook", body="{}", created=now, due_at=now
            )

    def test_go_out_and_the_next_one_waits(self, hook: Hook) -> None:
        self.wait(35, NOON)
        assert delivery.send_due(NOON) == len(hook.posts) == 30
        assert delivery.send_due(NOON + timedelta(seconds=40)) == 0
        assert len(hook.posts) == 30
        assert delivery.send_due(NOON + timedelta(seconds=90)) == 5
        assert len({fields["X-Mtastsweb-Id"] for fields, _ in hook.posts}) == 35

    def test_from_all_machines_and_by_both_ways(self, hook: Hook, mailbox: Mailbox) -> None:
        self.wait(31, NOON)
        Message.objects.create(
            key="mail", channel="mail", created=NOON, sent_at=NOON - timedelta(seconds=30)
        )
        assert delivery.send_due(NOON) == 29


class TestADripOfAMailServer:
    @pytest.fixture
    def dripping(self, settings: Settings) -> Iterator[None]:
        """A server whose greeting never ends."""
        with dripping_mail_server() as port:
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
            settings.EMAIL_TIMEOUT = 20
            yield

    def test_holds_nobody_for_longer_than_the_deadline(self, dripping: None) -> None:
        began = time.monotonic()
        mail = EmailMessage("s", "b", "a@example.net", ["b@example.net"])
        with pytest.raises(NotDeliveredError, match=r"no end in 0\.3 seconds"):
            mailing.send(mail, seconds=0.3)
        assert time.monotonic() - began < 10
        with pytest.raises(NotDeliveredError, match="still holds on"):
            mailing.send(mail, seconds=30)

    def test_is_tried_again_and_holds_up_no_webhook(
        self, script: Script, told: None, hook: Hook, dripping: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(mailing, "SECONDS", 0.3)
        confirm(script)
        assert delivery.send_due(script.now()) == len(hook.posts) == 1
        waiting = Message.objects.get(channel="mail")
        assert "no end in 0.3 seconds" in waiting.error
        assert waiting.due_at == script.now() + timedelta(minutes=1)


class TestADripOfAReceiver:
    def test_holds_nobody_for_longer_than_the_deadline(self, hook: Hook) -> None:
        hook.drip = True
        began = time.monotonic()
        with pytest.raises(NotDeliveredError, match="no answer"):
            webhook.post(hook.url, "{}", {}, seconds=0.5)
        assert time.monotonic() - began < 3

    def test_nor_does_one_that_is_not_there(self) -> None:
        with pytest.raises(NotDeliveredError, match="connection-refused"):
            webhook.post("http://127.0.0.1:1/", "{}", {})

    def test_nor_one_that_speaks_no_tls(self, hook: Hook) -> None:
        with pytest.raises(NotDeliveredError, match="tls"):
            webhook.post(hook.url.replace("http:", "https:"), "{}", {}, seconds=5)


class TestAReceiverOverTLS:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def secured(self, authority: trustme.CA) -> Iterator[Hook]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        with receiver(context) as hook:
            yield hook

    def test_gets_it_where_its_certificate_is_trusted(
        self, authority: trustme.CA, secured: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        roots = tmp_path / "roots.pem"
        authority.cert_pem.write_to_path(str(roots))
        monkeypatch.setattr(webhook, "_roots", lambda: TrustStore(roots))
        webhook.post(secured.url, '{"a": 1}', {"X-Mtastsweb-Id": "7"})
        ((fields, body),) = secured.posts
        assert (fields["X-Mtastsweb-Id"], body) == ("7", '{"a": 1}')

    def test_gets_nothing_where_it_is_not(self, secured: Hook) -> None:
        with pytest.raises(NotDeliveredError, match="unable-to-get-local-issuer"):
            webhook.post(secured.url, "{}", {})
        assert not secured.posts


class TestANameThatNobodyAnswersFor:
    def test_costs_no_more_than_the_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answered = threading.Event()
        monkeypatch.setattr(
            webhook.socket, "getaddrinfo", lambda *_, **__: answered.wait(30) and []
        )
        began = time.monotonic()
        with pytest.raises(NotDeliveredError, match="receiver-name-timeout"):
            webhook.post("http://receiver.example/", "{}", {}, seconds=0.3)
        assert time.monotonic() - began < 5
        answered.set()


def test_a_message_that_breaks_the_sender_holds_up_no_other(
    told: None, script: Script, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm(script)
    send = delivery._send

    def breaks(message: Message, now: datetime) -> None:
        if message.channel == "webhook":
            raise ValueError("of no use")
        send(message, now)

    monkeypatch.setattr(delivery, "_send", breaks)
    assert delivery.send_due(script.now()) == 1
    assert len(mailbox.mails) == 1
    waiting = Message.objects.get(channel="webhook")
    assert waiting.error == "ValueError: of no use"
    assert waiting.due_at is not None


@pytest.mark.usefixtures("told")
class TestTheDigest:
    SIX = NOON.replace(hour=6)

    def digests(self, mailbox: Mailbox) -> list[str]:
        mails = [mail for mail in mailbox.mails if "open" in mail["Subject"]]
        return [mail.get_content().replace("\r\n", "\n") for mail in mails]

    def test_goes_out_once_a_day_from_its_hour_on(self, mailbox: Mailbox) -> None:
        making.alert("gone.example", opened_at=self.SIX - HOUR, last_seen=self.SIX)
        making.fetched_elsewhere(self.SIX)
        assert not digest.make(self.SIX - timedelta(seconds=1))
        assert digest.make(self.SIX)
        assert not digest.make(self.SIX + 10 * HOUR)
        delivery.send_due(self.SIX)
        (text,) = self.digests(mailbox)
        assert "New:\n  warning: gone.example: record gone (suspected" in text
        assert digest.make(self.SIX + 24 * HOUR)
        delivery.send_due(self.SIX + 24 * HOUR)
        assert "Still open:\n  warning: gone.example" in self.digests(mailbox)[1]

    def test_has_notices_and_what_is_over(self, mailbox: Mailbox) -> None:
        making.alert("weak.example", Kind.ENFORCE_TO_TESTING, opened_at=self.SIX - HOUR)
        making.alert(
            "well.example", opened_at=self.SIX - 50 * HOUR,
            closed_at=self.SIX - HOUR, closed_because="well", sightings=2,
        )  # fmt: skip
        digest.make(self.SIX)
        delivery.send_due(self.SIX)
        (text,) = self.digests(mailbox)
        assert "notice: weak.example: enforce became testing" in text
        assert "Closed:\n  warning: well.example: record gone" in text
        assert "(well again)" in text
        assert mailbox.mails[0]["Subject"] == "MTA-STS: 1 new, 1 open (0 warnings)"

    def test_has_not_what_dns_denies_before_it_has_named_something(self, mailbox: Mailbox) -> None:
        making.fetched_elsewhere(self.SIX - 2 * HOUR)
        making.alert("gone.example", opened_at=self.SIX - HOUR, last_seen=self.SIX - HOUR)
        making.alert(
            "once.example", opened_at=self.SIX - HOUR, last_seen=self.SIX - HOUR,
            closed_at=self.SIX, closed_because="well",
        )  # fmt: skip
        digest.make(self.SIX)
        delivery.send_due(self.SIX)
        assert not mailbox.mails
        making.fetched_elsewhere(self.SIX)
        digest.make(self.SIX + 24 * HOUR)
        delivery.send_due(self.SIX + 24 * HOUR)
        (text,) = self.digests(mailbox)
        assert "Still open:\n  warning: gone.example: record gone" in text
        assert "once.example" not in text

    def test_is_not_sent_on_a_day_with_nothing_to_say(self, mailbox: Mailbox) -> None:
        assert digest.make(self.SIX)
        making.alert("gone.example", opened_at=self.SIX + HOUR)
        assert not digest.make(self.SIX + 2 * HOUR)
        delivery.send_due(self.SIX + 2 * HOUR)
        assert not mailbox.mails

    def test_tells_of_trouble_ahead_and_of_exceptions_about_to_end(self, mailbox: Mailbox) -> None:
        soon = self.SIX + 20 * HOUR
        failing = {
            "failures": 5,
            "failure_type": "sts-policy-fetch-error",
            "failure_reason": "cannot-fetch-policy+http-status-503",
        }
        making.record("bücher.example", last_use=self.SIX, valid_end=soon, **failing)
        making.record("unused.example", valid_end=soon, **failing)
        exceptions.add(rule(target="hurt.example", since=self.SIX, until=soon), ALL, None, self.SIX)
        digest.make(self.SIX, trouble.lines)
        delivery.send_due(self.SIX)
        (text,) = self.digests(mailbox)
        assert "About to end:\n  exception for hurt.example: skip until 2026-03-02 02:00" in text
        ahead = text.partition("Trouble ahead:\n")[2]
        assert ahead.startswith(
            "  xn--bcher-kva.example: policy expires 2026-03-02 02:00 UTC: sts-policy-fetch-error:"
            " cannot-fetch-policy+http-status-503\n"
        )
        assert "unused.example" not in text
        assert "hurt.example" not in ahead, "it is told once"
        assert "https://mtasts.example.net/trouble/" in ahead
        assert mailbox.mails[0]["Subject"] == "MTA-STS: 0 new, 0 open (0 warnings), 1 ahead"

    def test_asks_for_what_lies_ahead_once_a_day(self) -> None:
        asked: list[datetime] = []
        for hours in range(3):
            digest.make(self.SIX + hours * HOUR, lambda now: asked.append(now) or ())
        assert asked == [self.SIX]

    def test_names_fifty_of_each_and_counts_the_rest(self, mailbox: Mailbox) -> None:
        for at in range(60):
            making.alert(f"d{at}.example", Kind.CERTIFICATE_REFUSED, opened_at=self.SIX - HOUR)
        digest.make(self.SIX)
        delivery.send_due(self.SIX)
        (text,) = self.digests(mailbox)
        assert text.count("warning:") == 50
        assert "… and 10 more" in text

    def test_is_not_made_where_nobody_is_to_have_it(
        self, change_environment: Callable[..., None]
    ) -> None:
        change_environment(alert_email_to=())
        assert not digest.make(self.SIX)


def test_what_was_sent_long_ago_is_forgotten(
    script: Script, told: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm(script)
    created = Message.objects.latest("created").created
    delivery.prune(created + delivery.KEPT)
    assert Message.objects.exists()
    monkeypatch.setattr(delivery, "BATCH", 1)
    delivery.prune(created + delivery.KEPT + HOUR)
    assert Message.objects.count() == 1
    delivery.prune(created + delivery.KEPT + HOUR)
    assert not Message.objects.exists()
