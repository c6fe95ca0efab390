"""Policies from a real policy host that fails in every way."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from trustme import CA

from policies.mtasts.domain import Domain
from policies.mtasts.errors import CertificateError, FetchError, NoPolicyError, PolicySyntaxError
from policies.mtasts.https import MAX_POLICY, PolicyFetcher, Step
from policies.mtasts.policy import parse_policy
from policies.mtasts.transport import MAX_INTERIM
from policies.tlsrpt.failures import failure_details
from tests.lab import answers, replies
from tests.lab.certificate import Certificate
from tests.mtasts.fetching import (
    BRIEF,
    DOMAIN,
    NAME,
    POLICY,
    Raw,
    failure_of,
    fetcher_of,
    resolver_of,
)

if TYPE_CHECKING:
    from tests.lab.lab import Host, Lab

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(POLICY)


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.domain(NAME, POLICY)


def test_a_policy_comes_with_its_text_and_how_it_was_had(lab: Lab, host: Host) -> None:
    fetched = fetcher_of(lab).fetch(DOMAIN)
    assert fetched.policy == parse_policy(POLICY)
    assert fetched.text == POLICY
    assert fetched.address in lab.addresses
    assert fetched.certificate.names == (f"mta-sts.{NAME}",)
    left = fetched.certificate_not_after - datetime.now(UTC)
    assert timedelta(0) < left < timedelta(days=800)


def test_the_request_says_who_asks_and_refuses_compression(lab: Lab, host: Host) -> None:
    fetcher_of(lab, user_agent="mtastsweb/9", contact="mta@example.net").fetch(DOMAIN)
    (request,) = lab.requests
    assert (request.sni, request.method) == (f"mta-sts.{NAME}", "GET")
    assert request.path == "/.well-known/mta-sts.txt"
    assert request.headers == {
        "host": f"mta-sts.{NAME}:{lab.policy_port}",
        "user-agent": "mtastsweb/9 (+mailto:mta@example.net)",
        "accept": "text/plain",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_proxies_and_passwords_of_the_environment_are_not_used(
    lab: Lab, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine mta-sts.{NAME} login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    fetcher_of(lab).fetch(DOMAIN)
    assert "authorization" not in lab.requests[0].headers


@pytest.mark.parametrize(
    "behaviour",
    [
        replies.Serve(framing="chunked"),
        replies.Serve(framing="close"),
        replies.Serve(content_type=None),
        replies.Serve(content_type="text/plain;charset=iso-8859-1"),
        replies.Serve(content_type=" TEXT/Plain ; x=y"),
        replies.Serve(headers={"Content-Encoding": "Identity"}),
        Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + HEAD + LENGTH + POLICY.encode()),
        Raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HEAD + LENGTH + POLICY.encode()),
        Raw(b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_INTERIM + HEAD + LENGTH + POLICY.encode()),
        Raw(b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 100 Y\r\n\r\n" + HEAD + LENGTH + POLICY.encode()),
        Raw(HEAD + LENGTH + POLICY.encode(), close_notify=False),
        Raw(CHUNKED + b"%x;ext=1\r\n" % len(POLICY) + POLICY.encode() + b"\r\n0\r\nA: b\r\n\r\n"),
        Raw(b"HTTP/1.0 200 OK\r\n\r\n" + POLICY.encode()),
    ],
    ids=repr,
)
def test_a_policy_may_be_served_so(lab: Lab, host: Host, behaviour: replies.Behaviour) -> None:
    host.behaviour = behaviour
    assert fetcher_of(lab).fetch(DOMAIN).text == POLICY


def test_a_wildcard_certificate_is_accepted(lab: Lab, host: Host) -> None:
    host.certificate = Certificate.WILDCARD
    assert fetcher_of(lab).fetch(DOMAIN).text == POLICY


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (Certificate.EXPIRED, "certificate-expired"),
        (Certificate.NOT_YET_VALID, "certificate-not-yet-valid"),
        (Certificate.WRONG_NAME, "certificate-host-mismatch"),
        (Certificate.CN_ONLY, "certificate-host-mismatch"),
        (Certificate.SELF_SIGNED, "certificate-not-trusted+self-signed"),
        (Certificate.UNKNOWN_CA, "certificate-not-trusted+unable-to-get-local-issuer"),
        (Certificate.UNKNOWN_CA_SENT, "certificate-not-trusted+self-signed-in-chain"),
        (Certificate.CLIENT_ONLY, "certificate-not-trusted+incompatible-key-usage"),
        (Certificate.NOT_A_CA, "certificate-not-trusted+not-authorized-to-sign"),
    ],
)
def test_a_bad_certificate_is_refused(
    lab: Lab, host: Host, certificate: Certificate, reason: str
) -> None:
    host.certificate = certificate
    assert failure_of(fetcher_of(lab)) == f"sts-webpki-invalid: {reason}"
    assert lab.requests.count() == 0


def test_a_failure_brings_the_certificate_as_far_as_one_was_seen(lab: Lab, host: Host) -> None:
    def seen() -> tuple[str, ...] | None:
        with pytest.raises((FetchError, PolicySyntaxError)) as failure:
            fetcher_of(lab).fetch(DOMAIN)
        certificate = failure.value.certificate
        return certificate.names if certificate else None

    host.policy = None
    assert seen() == (f"mta-sts.{NAME}",)
    host.policy = "version: STSv2\n"
    assert seen() == (f"mta-sts.{NAME}",)
    host.certificate = Certificate.EXPIRED
    assert seen() == (f"mta-sts.{NAME}",)
    host.resolve_to(lab.closed_address)
    assert seen() is None


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (replies.Serve(status=404), "no-policy-served"),
        (replies.Serve(status=203), "cannot-fetch-policy+http-status-203"),
        (replies.Serve(status=204), "cannot-fetch-policy+http-status-204"),
        (replies.Serve(status=206), "cannot-fetch-policy+http-status-206"),
        (replies.Serve(status=304), "cannot-fetch-policy+http-status-304"),
        (replies.Serve(status=410), "cannot-fetch-policy+http-status-410"),
        (replies.Serve(status=500), "cannot-fetch-policy+http-status-500"),
        *(
            (
                replies.redirect("https://elsewhere.test/", status),
                "cannot-fetch-policy+http-redirect-not-allowed",
            )
            for status in (301, 302, 303, 307, 308)
        ),
        (
            replies.Serve(content_type="text/html"),
            "cannot-fetch-policy+content-type-not-text-plain",
        ),
        (replies.Serve(content_type=""), "cannot-fetch-policy+content-type-not-text-plain"),
        (
            replies.Serve(content_type="text/plainly"),
            "cannot-fetch-policy+content-type-not-text-plain",
        ),
        (replies.Serve(gzip=True), "cannot-fetch-policy+content-encoding-not-identity"),
        (replies.Serve(framing="cut"), "cannot-fetch-policy+response-cut-short"),
        (replies.Serve(framing="short"), "cannot-fetch-policy+response-cut-short"),
        (replies.Reset("accept"), "cannot-fetch-policy+connection-closed-during-handshake"),
        (replies.Reset("handshake"), "cannot-fetch-policy+connection-closed"),
        (replies.Reset("half the body"), "cannot-fetch-policy+response-cut-short"),
        (replies.PlainHTTP(), "cannot-fetch-policy+tls-record-header-error"),
        (replies.Alert(40), "cannot-fetch-policy+tls-remote-alert-40-handshake-failure"),
        (
            replies.Alert(70),
            "cannot-fetch-policy+tls-remote-alert-70-protocol-version-not-supported",
        ),
        (replies.Alert(112), "cannot-fetch-policy+tls-remote-alert-112-unrecognized-name"),
        (replies.OldTLS(), "cannot-fetch-policy+tls-local-unsupported-protocol"),
        (replies.Endless("headers", 0), "cannot-fetch-policy+malformed-http-response"),
        (replies.Endless("header line", 0), "cannot-fetch-policy+malformed-http-response"),
        (replies.HugeHeader(), "cannot-fetch-policy+malformed-http-response"),
        (replies.Endless("body", 0), "cannot-fetch-policy+policy-too-large"),
        (
            Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000),
            "cannot-fetch-policy+response-headers-too-large",
        ),
        (
            Raw(CHUNKED + b"1;%s\r\nx\r\n" % (b"e" * 60_000) * 20),
            "cannot-fetch-policy+policy-too-large",
        ),
        (Raw(b""), "cannot-fetch-policy+connection-closed"),
        (Raw(b"", close_notify=False), "cannot-fetch-policy+connection-closed"),
        (Raw(b"220 mail.example.test ESMTP\r\n"), "cannot-fetch-policy+malformed-http-response"),
        (
            Raw(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
            "cannot-fetch-policy+malformed-http-response",
        ),
        (Raw(CHUNKED + b"5\r\nvers"), "cannot-fetch-policy+response-cut-short"),
        (Raw(CHUNKED + b"5\r\nversi\r\n"), "cannot-fetch-policy+response-cut-short"),
        (Raw(CHUNKED + b"five\r\nversi\r\n"), "cannot-fetch-policy+response-cut-short"),
        (Raw(CHUNKED + b"-5\r\nversi\r\n"), "cannot-fetch-policy+malformed-http-response"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:60],
)
def test_a_failed_fetch_is_named(
    lab: Lab, host: Host, behaviour: replies.Behaviour, reason: str
) -> None:
    host.behaviour = behaviour
    assert failure_of(fetcher_of(lab)) == f"sts-policy-fetch-error: {reason}"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (replies.Silence("accept"), "io-timeout-during-handshake"),
        (replies.Drip("handshake", 0.01), "io-timeout-during-handshake"),
        (replies.Silence("handshake"), "policy-fetch-timeout"),
        (replies.Drip("headers", 0.01), "policy-fetch-timeout"),
        (replies.Endless("continues", 0.01), "policy-fetch-timeout"),
        (replies.Endless("headers", 0.01), "policy-fetch-timeout"),
        (replies.Endless("header line", 0.01), "policy-fetch-timeout"),
        (replies.Silence("half the body"), "policy-fetch-timeout"),
        (replies.Drip("body", 0.01), "policy-fetch-timeout"),
        (replies.Endless("body", 0.01), "policy-fetch-timeout"),
    ],
    ids=repr,
)
def test_a_fetch_ends_when_its_time_is_up(
    lab: Lab, host: Host, behaviour: replies.Behaviour, reason: str
) -> None:
    host.behaviour = behaviour
    failure = failure_of(fetcher_of(lab, timeout=BRIEF))
    assert failure == f"sts-policy-fetch-error: cannot-fetch-policy+{reason}"


@pytest.mark.parametrize(
    "answer", [answers.Silence(), answers.ServFail(), answers.CNAME(f"mta-sts.{NAME}")]
)
def test_a_policy_host_that_dns_does_not_tell_is_a_failed_fetch(
    lab: Lab, host: Host, answer: answers.Answer
) -> None:
    host.a = host.aaaa = answer
    failure = failure_of(fetcher_of(lab, timeout=BRIEF))
    assert failure == "sts-policy-fetch-error: cannot-fetch-policy+policy-host-dns-temporary"


def test_a_policy_host_that_does_not_exist_serves_none(lab: Lab, host: Host) -> None:
    host.a = None
    assert failure_of(fetcher_of(lab)) == "sts-policy-fetch-error: no-policy-served"


def test_a_domain_too_long_for_a_policy_host_has_none(lab: Lab) -> None:
    name = ".".join(["a" * 61] * 4)
    with pytest.raises(NoPolicyError):
        fetcher_of(lab).fetch(Domain(name, name))
    assert lab.queries.count() == 0


def test_a_policy_of_64_kib_is_read_and_one_octet_more_is_not(lab: Lab, host: Host) -> None:
    host.policy = replies.policy_of_size(MAX_POLICY, POLICY)
    assert len(fetcher_of(lab).fetch(DOMAIN).text) == MAX_POLICY
    host.policy = replies.policy_of_size(MAX_POLICY + 1, POLICY)
    failure = failure_of(fetcher_of(lab))
    assert failure == "sts-policy-fetch-error: cannot-fetch-policy+policy-too-large"


def test_one_octet_a_chunk_is_no_reason_to_refuse_a_policy(lab: Lab, host: Host) -> None:
    policy = replies.policy_of_size(MAX_POLICY, POLICY).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in policy)
    host.behaviour = Raw(CHUNKED + chunks + b"0\r\n\r\n")
    assert fetcher_of(lab).fetch(DOMAIN).text == policy.decode()


def test_a_broken_policy_is_kept_for_the_report(lab: Lab, host: Host) -> None:
    host.policy = b"version: STSv1\nmode: enfo\xffrce\n"
    with pytest.raises(PolicySyntaxError) as caught:
        fetcher_of(lab).fetch(DOMAIN)
    assert caught.value.received == "version: STSv1\nmode: enfo\N{REPLACEMENT CHARACTER}rce\n"
    assert str(failure_details(caught.value)) == "sts-policy-invalid: policy-syntax-error"


def test_an_alert_after_the_handshake_is_named_too(lab: Lab, host: Host) -> None:
    # A client of TLS 1.3 is done before the server has judged the lack of a certificate.
    host.certificate = lab.shared_certificate([NAME])
    host.certificate.verify_mode = ssl.CERT_REQUIRED
    failure = failure_of(fetcher_of(lab))
    assert failure == (
        "sts-policy-fetch-error: cannot-fetch-policy+tls-remote-alert-116-certificate-required"
    )


def test_private_addresses_are_not_connected_to(lab: Lab, host: Host) -> None:
    host.aaaa = answers.Records("::ffff:127.0.0.1", "64:ff9b::127.0.0.1")
    failure = failure_of(fetcher_of(lab, allow_private=False))
    assert failure == "sts-policy-fetch-error: cannot-fetch-policy+address-not-allowed"
    assert lab.connections.total() == 0


def test_the_next_address_is_tried_when_one_takes_no_connection(lab: Lab, host: Host) -> None:
    host.aaaa = answers.Records("::1")
    assert ":" not in (fetcher_of(lab).fetch(DOMAIN).address or ":")


def test_a_refused_connection_is_named(lab: Lab, host: Host) -> None:
    failure = failure_of(fetcher_of(lab, port=1))
    assert failure == "sts-policy-fetch-error: cannot-fetch-policy+connection-refused"


def test_each_step_is_told(lab: Lab, host: Host) -> None:
    steps: list[Step] = []
    host.behaviour = replies.Serve(status=500)
    with pytest.raises(FetchError):
        fetcher_of(lab).fetch(DOMAIN, steps.append)
    assert [step.kind for step in steps] == ["addresses", "connected", "certificate", "status"]
    addresses, connected, certificate, status = (step.detail for step in steps)
    assert addresses == connected
    assert datetime.fromisoformat(certificate) > datetime.now(UTC)
    assert status == "500"
    assert dict(steps[-1].headers)["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("kind", "issuer", "names"),
    [
        (Certificate.GOOD, "Laboratory root", (f"mta-sts.{NAME}",)),
        (Certificate.WILDCARD, "Laboratory root", (f"*.{NAME}",)),
        (Certificate.WRONG_NAME, "Laboratory root", ("another-host.test",)),
        (Certificate.CN_ONLY, "Laboratory root", ()),
        (Certificate.UNKNOWN_CA, "A root that nobody trusts", (f"mta-sts.{NAME}",)),
        (Certificate.EXPIRED, "Laboratory root", (f"mta-sts.{NAME}",)),
    ],
)
def test_the_certificate_is_told_whether_or_not_it_is_refused(
    lab: Lab, host: Host, kind: Certificate, issuer: str, names: tuple[str, ...]
) -> None:
    host.certificate = kind
    steps: list[Step] = []
    with suppress(CertificateError):
        fetcher_of(lab).fetch(DOMAIN, steps.append)
    certificate = next(step.certificate for step in steps if step.kind == "certificate")
    assert certificate is not None
    assert (certificate.issuer, certificate.names) == (issuer, names)
    assert certificate.not_before < certificate.not_after
    assert (certificate.not_after < datetime.now(UTC)) == (kind is Certificate.EXPIRED)


def test_a_place_at_the_address_is_held_until_the_connection_is_closed(
    lab: Lab, host: Host
) -> None:
    events: list[str] = []

    @contextmanager
    def slot(address: str, seconds: float) -> Iterator[None]:
        events.append(f"{address in lab.addresses} {0 < seconds <= 10}")
        try:
            yield
        finally:
            events.append("left")

    fetcher = fetcher_of(lab, slot=slot)
    fetcher.fetch(DOMAIN, lambda step: events.append(step.kind))
    assert events == ["addresses", "True True", "connected", "certificate", "status", "left"]
    host.behaviour = replies.Reset("accept")
    assert "closed-during-handshake" in failure_of(fetcher)
    assert events[-1] == "left"


def test_no_place_at_the_address_is_not_blamed_on_the_host(lab: Lab, host: Host) -> None:
    def slot(address: str, seconds: float) -> AbstractContextManager[object]:
        raise TimeoutError

    failure = failure_of(fetcher_of(lab, slot=slot))
    assert failure == "sts-policy-fetch-error: cannot-fetch-policy+address-busy"


def test_new_roots_hold_from_the_next_fetch_on(lab: Lab, host: Host, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    CA().cert_pem.write_to_path(roots)
    fetcher = fetcher_of(lab, ca_file=str(roots))
    assert "certificate-not-trusted" in failure_of(fetcher)
    shutil.copy(lab.ca_file, tmp_path / "new.pem")
    (tmp_path / "new.pem").replace(roots)
    assert fetcher.fetch(DOMAIN).text == POLICY


def test_settings_that_cannot_work_are_refused_at_once(lab: Lab) -> None:
    resolver = resolver_of(lab)
    with pytest.raises(ValueError, match=r"nowhere\.pem"):
        PolicyFetcher(resolver, ca_file="nowhere.pem")
    with pytest.raises(ValueError, match="no proxy"):
        PolicyFetcher(resolver, proxy="socks5://127.0.0.1:1080")
