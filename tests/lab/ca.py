"""The laboratory's certificate authority, and the certificates that policy hosts show."""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.lab.certificate import Certificate

DAY = timedelta(days=1)


class Issuer:
    """A name and a key that sign certificates, and the certificate that says so."""

    def __init__(
        self,
        common_name: str,
        *,
        parent: Issuer | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        names: Sequence[str] = (),
        ca: bool = True,
    ) -> None:
        self.name = _name(common_name)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = (parent or self).issue(names, self.key, subject=self.name, ca=ca)

    def issue(
        self,
        names: Sequence[str],
        key: ec.EllipticCurvePrivateKey,
        *,
        subject: x509.Name | None = None,
        age: timedelta = DAY,
        life: timedelta = 365 * DAY,
        purpose: ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        ca: bool = False,
    ) -> x509.Certificate:
        """A certificate for these DNS names, made so long ago and valid for so long."""
        start = datetime.now(UTC) - age
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or _name("Laboratory policy host"))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + life)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_key_usage(ca=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
            )
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names:
            dns_names = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(dns_names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


class Authority:
    """The root that clients trust, another that they do not, and TLS contexts for policy hosts.

    Contexts are made when first asked for and kept. `ca_file` is the PEM file of the root;
    `close` removes it.
    """

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="mtasts-lab-")
        self._root = Issuer("Laboratory root")
        self._stranger = Issuer("A root that nobody trusts")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[tuple[Certificate, str], ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.ca_file = self._write("ca.pem", _pem(self._root.certificate))
        self._key_file = self._write(
            "key.pem",
            self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def context(self, certificate: Certificate, policy_host: str) -> ssl.SSLContext:
        """The server side of TLS for this host, showing this kind of certificate."""
        with self._lock:
            context = self._contexts.get((certificate, policy_host))
            if context is None:
                context = self._loaded(self._chain(certificate, policy_host))
                self._contexts[certificate, policy_host] = context
            return context

    def shared_context(self, policy_hosts: Sequence[str]) -> ssl.SSLContext:
        """One good certificate for all these names; a few hundred are still quick to send."""
        with self._lock:
            return self._loaded([self._root.issue(policy_hosts, self._key)])

    def close(self) -> None:
        self._directory.cleanup()

    def _chain(self, certificate: Certificate, host: str) -> list[x509.Certificate]:
        root, stranger, key = self._root, self._stranger, self._key
        match certificate:
            case Certificate.GOOD:
                return [root.issue([host], key)]
            case Certificate.WILDCARD:
                return [root.issue(["*." + host.partition(".")[2]], key)]
            case Certificate.EXPIRED:
                return [root.issue([host], key, age=30 * DAY, life=29 * DAY)]
            case Certificate.NOT_YET_VALID:
                return [root.issue([host], key, age=-DAY)]
            case Certificate.SELF_SIGNED:
                return [Issuer(host, key=key, ca=False, names=[host]).certificate]
            case Certificate.WRONG_NAME:
                return [root.issue(["another-host.test"], key)]
            case Certificate.CN_ONLY:
                return [root.issue([], key, subject=_name(host))]
            case Certificate.UNKNOWN_CA:
                return [stranger.issue([host], key)]
            case Certificate.UNKNOWN_CA_SENT:
                return [stranger.issue([host], key), stranger.certificate]
            case Certificate.CLIENT_ONLY:
                return [root.issue([host], key, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)]
            case Certificate.NOT_A_CA:
                leaf = Issuer("A leaf that signs", parent=root, ca=False)
                return [leaf.issue([host], key), leaf.certificate]

    def _loaded(self, chain: list[x509.Certificate]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # every fetch is a connection of its own
        path = self._write("chain.pem", b"".join(map(_pem, chain)))
        context.load_cert_chain(path, self._key_file)
        return context

    def _write(self, name: str, content: bytes) -> Path:
        path = Path(self._directory.name, name)
        path.write_bytes(content)
        return path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
