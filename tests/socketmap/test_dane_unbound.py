"""DANE as a real validating resolver sees it: unbound, on a zone signed here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from mtastsweb.environment import OnDANE
from policies.mtasts.dns import Resolver
from policies.mtasts.domain import parse_domain
from policies.mtasts.validation import has_validating_resolver
from policies.socketmap.dane import DaneCheck, Finding
from tests.lab.lab import Lab
from tests.needs import needs_program
from tests.signed import SignedRoot
from tests.unbound import unbound

pytestmark = needs_program("unbound", apt="unbound")

DIGEST = "ab" * 32
ZONE = f"""
dane.test. 300 IN MX 10 mx.dane.test.
mx.dane.test. 300 IN A 127.0.0.1
_25._tcp.mx.dane.test. 300 IN TLSA 3 1 1 {DIGEST}

plain.test. 300 IN MX 10 mx.plain.test.
mx.plain.test. 300 IN A 127.0.0.1

hosted.test. 300 IN MX 10 mx.unsigned.test.
mx.unsigned.test. 300 IN A 127.0.0.1
_25._tcp.mx.unsigned.test. 300 IN TLSA 3 1 1 {DIGEST}

guarded.test. 300 IN MX 10 mx.guarded.test.
mx.guarded.test. 300 IN A 127.0.0.1
_25._tcp.mx.guarded.test. 300 IN TLSA 3 1 1 {DIGEST}

broken.test. 300 IN MX 10 mx.plain.test.

alias.test. 300 IN MX 10 mx.alias.test.
mx.alias.test. 300 IN CNAME mx.dane.test.

only-address.test. 300 IN A 127.0.0.1
_25._tcp.only-address.test. 300 IN TLSA 3 1 1 {DIGEST}

unsigned.test. 300 IN MX 10 mx.dane.test.
"""
FORGED = frozenset({"_25._tcp.mx.guarded.test", "broken.test"})


@pytest.fixture(scope="module")
def resolver(lab_server: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    lab_server.reset()
    root = SignedRoot()
    root.publish(ZONE, forged=FORGED)
    lab_server.dns_default = lambda name, rdtype: root
    directory = tmp_path_factory.mktemp("unbound")
    with unbound(directory, lab_server.nameserver, anchor=root.trust_anchor) as nameserver:
        yield Resolver((nameserver,))
    lab_server.reset()


@pytest.mark.parametrize(
    ("domain", "finding"),
    [
        ("dane.test", Finding.PROVEN),
        ("alias.test", Finding.PROVEN),
        ("only-address.test", Finding.PROVEN),
        ("plain.test", Finding.NO_TLSA),
        ("hosted.test", Finding.NO_TLSA),
        ("guarded.test", Finding.TLSA_FAILS),
        ("broken.test", Finding.NO_MX_ANSWER),
        ("unsigned.test", Finding.UNPROVEN_MX),
        ("absent.test", Finding.NO_TLSA),
    ],
)
def test_what_unbound_proves_is_believed(domain: str, finding: Finding, resolver: Resolver) -> None:
    check = DaneCheck(resolver, OnDANE.NOTFOUND)
    assert check.check(parse_domain(domain)).finding is finding


def test_unbound_is_seen_to_validate(resolver: Resolver) -> None:
    assert has_validating_resolver(resolver)
