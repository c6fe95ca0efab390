"""The probe of a mail host, against real STARTTLS on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from policies.mtasts.dns import Resolver
from policies.mtasts.starttls import NO_STARTTLS, MailProbe, Probed
from policies.politeness import Places
from tests.lab import mailhost
from tests.lab.answers import Records, ServFail
from tests.lab.certificate import Certificate

if TYPE_CHECKING:
    from tests.lab.lab import Lab

HOST = "mx.example.test"


@pytest.fixture
def server() -> Iterator[Any]:
    with mailhost.running() as server:
        yield server


@pytest.fixture
def probe(lab: Lab, server: Any) -> MailProbe:
    lab.zone[HOST, "A"] = Records("127.0.0.1")
    server.manners.context = lab.mail_certificate(Certificate.GOOD, HOST)
    return MailProbe(
        Resolver((lab.nameserver,), timeout=5), ehlo="us.example", ca_file=lab.ca_file,
        port=server.server_address[1], allow_private=True, timeout=5,
    )  # fmt: skip


def test_a_good_host_is_verified(probe: MailProbe, server: Any) -> None:
    found = probe.probe(HOST)
    assert (found.reason, found.is_verified, found.address) == ("", True, "127.0.0.1")
    assert found.version == "TLSv1.3"
    assert found.certificate is not None
    assert found.certificate.names == (HOST,)
    for _attempt in range(100):
        if len(server.heard) == 3:
            break
        time.sleep(0.02)
    assert server.heard == ["EHLO us.example", "STARTTLS", "QUIT"]


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (Certificate.EXPIRED, "certificate-expired"),
        (Certificate.WRONG_NAME, "certificate-host-mismatch"),
        (Certificate.CN_ONLY, "certificate-host-mismatch"),
        (Certificate.SELF_SIGNED, "certificate-not-trusted+self-signed"),
        (Certificate.UNKNOWN_CA, "certificate-not-trusted+unable-to-get-local-issuer"),
    ],
)
def test_a_certificate_that_does_not_verify(
    lab: Lab, probe: MailProbe, server: Any, certificate: Certificate, reason: str
) -> None:
    server.manners.context = lab.mail_certificate(certificate, HOST)
    found = probe.probe(HOST)
    assert (found.reason, found.is_definite) == (reason, True)
    assert not found.is_verified


def test_a_host_without_starttls(probe: MailProbe, server: Any) -> None:
    server.manners.context = None
    found = probe.probe(HOST)
    assert (found.reason, found.is_definite) == (NO_STARTTLS, True)


@pytest.mark.parametrize(
    ("manners", "reason"),
    [
        ({"greeting": b"554 go away\r\n"}, "smtp-greeting-554"),
        ({"greeting": b"421 busy\r\n"}, "smtp-greeting-421"),
        ({"greeting": b"HTTP/1.1 400 Bad Request\r\n"}, "malformed-smtp-reply"),
        ({"greeting": b"250-x\r\n" * 5000}, "malformed-smtp-reply"),
        ({"starttls": b"454 not now\r\n"}, "smtp-starttls-454"),
        ({"starttls": b"220 go\r\n250 slipped in\r\n"}, "smtp-injection"),
    ],
    ids=str,
)
def test_what_may_be_about_us_is_not_definite(
    probe: MailProbe, server: Any, manners: dict[str, Any], reason: str
) -> None:
    server.manners = replace(server.manners, **manners)
    found = probe.probe(HOST)
    assert (found.reason, found.is_definite) == (reason, False)


def test_a_host_that_says_nothing_is_left_in_time(probe: MailProbe, server: Any) -> None:
    server.manners.slow = 3
    began = time.monotonic()
    found = replace(probe, timeout=0.5).probe(HOST)
    assert (found.reason, found.is_definite) == ("smtp-timeout", False)
    assert time.monotonic() - began < 2.5


class TestWhereToConnect:
    def fails(self, probe: MailProbe, reason: str) -> None:
        found: Probed = probe.probe(HOST)
        assert (found.reason, found.is_definite) == (reason, False)

    def test_not_to_private_addresses(self, probe: MailProbe, server: Any) -> None:
        self.fails(replace(probe, allow_private=False), "address-not-allowed")
        assert not server.heard

    def test_a_host_that_nobody_listens_at(self, lab: Lab, probe: MailProbe) -> None:
        lab.zone[HOST, "A"] = Records(lab.closed_address)
        self.fails(probe, "connection-refused")

    def test_a_host_without_address(self, lab: Lab, probe: MailProbe) -> None:
        lab.zone[HOST, "A"] = None
        self.fails(probe, "mail-host-has-no-address")

    def test_a_host_that_dns_does_not_name(self, lab: Lab, probe: MailProbe) -> None:
        lab.zone[HOST, "A"] = lab.zone[HOST, "AAAA"] = ServFail()
        self.fails(probe, "mail-host-dns-temporary")

    def test_an_address_that_has_enough_connections(self, probe: MailProbe) -> None:
        places = Places(1)
        with places.slot("127.0.0.1", 1):
            self.fails(replace(probe, slot=places.slot), "address-busy")


def test_offers_no_protocol_of_the_web(probe: MailProbe, server: Any) -> None:
    offered: list[str | None] = []
    context = server.manners.context
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = lambda stream, _name, _context: offered.append(stream)  # type: ignore[arg-type]
    assert probe.probe(HOST).is_verified
    assert [stream.selected_alpn_protocol() for stream in offered] == [None]  # type: ignore[union-attr]
