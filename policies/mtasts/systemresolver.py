"""What the system says about whom to ask."""

from __future__ import annotations

import dns.resolver


def nameservers() -> list[str]:
    """The addresses of the system's nameservers; none where it names none."""
    try:
        return [str(address) for address in dns.resolver.Resolver().nameservers]
    except dns.resolver.NoResolverConfiguration:
        return []
