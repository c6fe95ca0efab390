"""Which addresses a policy host may have: whoever runs a zone chooses what we connect to.

The tables follow IANA's registries of special-purpose addresses and stand here in full, because
what `ipaddress` calls global differs between versions of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")

_NOT_GLOBAL = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.0.2.0/24"),  # documentation, as the two below
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv4Network("224.0.0.0/3"),  # multicast, reserved, broadcast
    IPv6Network("2001::/23"),  # protocol assignments
    IPv6Network("2001:db8::/32"),  # documentation, as the one below
    IPv6Network("3fff::/20"),
)

_PRIVATE = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::1/128"),
    # NAT64 of one network. Where in it the IPv4 address stands is that network's secret, so
    # nobody else can judge it (RFC 8215).
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("fc00::/7"),
    IPv6Network("fe80::/10"),
)

_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def is_allowed(address: str, allow_private: bool) -> bool:
    """Whether a policy host may be at `address`, an IP address as text.

    Global unicast is allowed. `allow_private` adds loopback, private and link-local addresses,
    never multicast or the unspecified address. What carries an IPv4 address inside is judged by
    that one, or private hosts could be reached through a translator or tunnel.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return all(
        _is_global(judged) or (allow_private and _is_private(judged)) for judged in _reached(parsed)
    )


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _NOT_GLOBAL)


def _is_private(address: Address) -> bool:
    return any(address in network for network in _PRIVATE)


def _reached(address: Address) -> tuple[Address, ...]:
    """The addresses that a packet to `address` may end at or pass on its way."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64:
        return (last,)
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return (address, last)
    return (address,)
