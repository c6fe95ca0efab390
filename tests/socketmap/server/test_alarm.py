"""The alarm in the server: it sees a downgrade by itself, with no worker anywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policies.alerts.kinds import Kind
from policies.models import Alert, PolicyRecord
from policies.mtasts.errors import CertificateError, MTASTSError, NoRecordError
from tests.socketmap.server.running import Running, wait_until
from tests.worlds import ENFORCE, NOON, Script, record

Serve = Callable[..., Running]

SECURE = b"OK secure match=mx.example.org servername=hostname"
TRUSTED = 3700
"""Seconds after which no look at DNS is trusted any more."""

GONE = NoRecordError("no TXT record begins 'v=STSv1;'")
EXPIRED = CertificateError("certificate has expired", reason="certificate-expired")


@pytest.mark.parametrize(
    ("kind", "look", "fetch"),
    [(Kind.RECORD_GONE, GONE, None), (Kind.CERTIFICATE_REFUSED, record("2"), EXPIRED)],
)
def test_what_goes_wrong_is_suspected_by_the_server_and_mail_goes_on_as_before(
    kind: Kind, look: MTASTSError, fetch: MTASTSError | None, serve: Serve, script: Script
) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    assert server.ask("example.org") == SECURE
    assert not Alert.objects.exists()
    script.look, script.fetch = look, fetch or script.fetch
    server.pass_(TRUSTED)
    assert server.ask("example.org") == SECURE, "what is cached stays in force"
    wait_until(Alert.objects.exists)
    alert = Alert.objects.get()
    assert (alert.domain, alert.kind, alert.state) == ("example.org", kind, "suspected")
    assert (alert.found_by, alert.opened_at) == ("lookup", NOON)
    assert alert.before_text == ENFORCE
    wait_until(lambda: PolicyRecord.objects.get().open_alerts == kind.bit)


def test_it_ends_by_itself_when_the_server_sees_that_all_is_well(
    serve: Serve, script: Script
) -> None:
    script.publish(ENFORCE)
    server = serve().loaded()
    server.ask("example.org")
    script.look = GONE
    server.pass_(TRUSTED)
    server.ask("example.org")
    wait_until(Alert.objects.exists)
    script.publish(ENFORCE)
    server.pass_(TRUSTED)
    assert server.ask("example.org") == SECURE
    wait_until(Alert.objects.filter(closed_because="well").exists)
