"""Domains of a signed zone that have TLSA records and MTA-STS policies."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from hashlib import sha256
from pathlib import Path

from tests.lab.certificate import Certificate
from tests.lab.lab import Lab
from tests.postfix.rig import Rig, policy
from tests.signed import SignedRoot

DOMAINS = ("dane.test", "forged.test")
"""Both have an enforce policy that a self-signed certificate does not fulfil, and TLSA records
that it does fulfil. Those of the second are forged."""


class DaneRig:
    """A rig whose resolver validates; `rig.domain` makes no domain here: its zone is signed."""

    def __init__(self, lab: Lab, directory: Path, contexts: contextlib.ExitStack) -> None:
        root = SignedRoot()
        self.rig = Rig(lab, directory, contexts, anchor=root.trust_anchor)
        lab.dns_default = lambda name, rdtype: root
        records = "".join(map(self._records, DOMAINS))
        root.publish(records, forged=frozenset({"_25._tcp.mx.forged.test"}))

    def settings(self) -> dict[str, str]:
        """The environment of a product that asks the validating resolver."""
        return self.rig.lab.settings() | {"MTASTS_NAMESERVERS": f"{self.rig.nameserver}:53"}

    def _records(self, domain: str) -> str:
        host = f"mx.{domain}"
        # All of DNS comes from the signed zone: what the laboratory adds by itself goes.
        self.rig.lab.domain(domain, policy(host), id=None).resolve_to()
        address = self.rig.mail_host(host, Certificate.SELF_SIGNED)
        records = (
            f"{domain}. 300 IN MX 10 {host}.",
            f"{host}. 300 IN A {address}",
            f"_25._tcp.{host}. 300 IN TLSA 3 0 1 {_fingerprint(address)}",
            f'_mta-sts.{domain}. 300 IN TXT "v=STSv1; id=1;"',
            f"mta-sts.{domain}. 300 IN A {self.rig.lab.addresses[0]}",
        )
        return "".join(f"{record}\n" for record in records)


def _fingerprint(address: str) -> str:
    """The SHA2-256 digest of the certificate that the mail host shows, in hexadecimal."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP(address, timeout=10) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert(binary_form=True)
    assert certificate
    return sha256(certificate).hexdigest()
