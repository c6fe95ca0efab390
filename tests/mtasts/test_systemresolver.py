"""What the system says about whom to ask."""

from __future__ import annotations

import dns.resolver
import pytest

from policies.mtasts import systemresolver


class Configured:
    nameservers = ("192.0.2.53", "2001:db8::53")


def test_the_system_s_nameservers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns.resolver, "Resolver", Configured)
    assert systemresolver.nameservers() == ["192.0.2.53", "2001:db8::53"]


def test_a_system_without_any_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", fail)
    assert systemresolver.nameservers() == []
