"""Which roots are trusted."""

from __future__ import annotations

import logging
import os
import shutil
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import certifi
import pytest

from policies.mtasts import CertificateError, parse_domain, tls
from policies.mtasts.dns import Resolver
from policies.mtasts.https import PolicyFetcher, Step
from policies.mtasts.tls import TrustStore

if TYPE_CHECKING:
    from policies.mtasts.deadline import LimitedTLSSocket
    from tests.lab.lab import Lab

trustme = pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A PEM file of one root."""
    file = tmp_path / "roots.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


def count(store: TrustStore) -> int:
    return store.context().cert_store_stats()["x509"]


def test_certificates_are_checked_strictly_but_not_too_strictly(roots: Path) -> None:
    context = TrustStore(roots).context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF


def test_one_context_serves_until_the_file_changes(roots: Path) -> None:
    store = TrustStore(roots)
    first = store.context()
    assert store.context() is first
    with roots.open("ab") as file:
        file.write(trustme.CA().cert_pem.bytes())
    os.utime(roots, ns=(1, 1))
    assert store.context() is not first
    assert count(store) == 2


def test_a_file_that_becomes_unusable_changes_nothing(
    roots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = TrustStore(roots)
    first = store.context()
    roots.unlink()
    with caplog.at_level(logging.ERROR):
        assert store.context() is first
        assert store.context() is first
    assert len(caplog.messages) == 1
    assert str(roots) in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_without_roots_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "empty.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"trusted roots .*empty\.pem"):
        TrustStore(file)


def test_a_file_of_revocations_alone_is_refused(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name)
        .last_update(now)
        .next_update(now + timedelta(days=1))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    file = tmp_path / "crl.pem"
    file.write_bytes(revoked.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(ValueError, match="holds no certificate"):
        TrustStore(file)


def test_without_a_file_the_systems_roots_count(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    assert count(TrustStore()) == 1


def test_a_system_with_a_directory_of_roots_reads_them_when_needed(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    shutil.copy(roots, directory / "0123abcd.0")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    assert count(TrustStore()) == 0


@pytest.mark.parametrize("directory", ["/nonexistent", "."])
def test_a_system_without_roots_has_those_of_certifi(
    directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / directory))
    expected = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    expected.load_verify_locations(certifi.where())
    assert count(TrustStore()) == expected.cert_store_stats()["x509"]


class NoChain:
    """A connection that tells nothing of a certificate that it refused."""


class BrokenChain:
    """A connection whose peer sent what cannot be read."""

    def get_unverified_chain(self) -> list[object]:
        raise ValueError("no certificate")


class EmptyChain:
    def get_unverified_chain(self) -> list[object]:
        return []


@pytest.mark.parametrize("connection", [None, NoChain(), BrokenChain(), EmptyChain()])
def test_of_a_refused_certificate_nothing_is_told_where_nothing_is_known(
    connection: object,
) -> None:
    stream = SimpleNamespace(_sslobj=connection)
    assert tls._refused(cast("LimitedTLSSocket", stream)) is None


def test_a_certificate_is_refused_though_nothing_can_be_told_of_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.lab.certificate import Certificate

    monkeypatch.setattr(tls, "_refused", lambda _: None)
    lab.domain("example.test", "irrelevant", certificate=Certificate.EXPIRED)
    resolver = Resolver((lab.nameserver,))
    fetcher = PolicyFetcher(resolver, port=lab.policy_port, ca_file=lab.ca_file, allow_private=True)
    steps: list[Step] = []
    with pytest.raises(CertificateError):
        fetcher.fetch(parse_domain("example.test"), steps.append)
    assert all(step.certificate is None for step in steps)
