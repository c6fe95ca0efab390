"""Whether the resolver's word on DNSSEC can be had, and believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.resolver
import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from policies.mtasts.dns import Resolver
from policies.mtasts.validation import Validation, has_validating_resolver, probe
from tests.lab import answers

if TYPE_CHECKING:
    from tests.lab.lab import Lab

SOA = "a.root.test. hostmaster.test. 1 1800 900 604800 86400"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (answers.Records(SOA, authenticated=True), Validation.WORKS),
        (answers.Records(SOA), Validation.MISSING),
        (answers.Absent(authenticated=True), Validation.UNKNOWN),
        (answers.ServFail(), Validation.UNKNOWN),
    ],
)
def test_the_root_zone_shows_whether_the_resolver_validates(
    answer: answers.Answer, found: Validation, lab: Lab
) -> None:
    lab.zone["", "SOA"] = answer
    resolver = Resolver((lab.nameserver,))
    assert probe(resolver) is found
    assert has_validating_resolver(resolver) is (found is Validation.WORKS)


@pytest.mark.parametrize(
    ("addresses", "trusted"),
    [
        (["127.0.0.53"], True),
        (["::1", "127.0.0.1"], True),
        (["192.0.2.53"], False),
        (["127.0.0.1", "192.0.2.53"], False),
    ],
)
def test_the_systems_resolver_is_believed_on_this_machine_only(
    addresses: list[str], trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(resolver: dns.resolver.Resolver) -> None:
        resolver.nameservers = addresses

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", lambda self, _: read(self))
    resolver = Resolver()
    assert resolver.is_trusted is trusted
    if not trusted:
        assert probe(resolver) is Validation.UNTRUSTED


def test_a_resolver_that_the_operator_names_is_believed_wherever_it_is() -> None:
    assert Resolver(("192.0.2.53",)).is_trusted


def test_no_resolver_at_all_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", fail)
    assert not Resolver().is_trusted
