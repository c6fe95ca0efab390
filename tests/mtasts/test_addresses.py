"""A zone cannot point a fetch at the inside of a network."""

from __future__ import annotations

import pytest

from policies.mtasts.addresses import is_allowed

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "3ffe::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2a00:1450::5efe:808:808",
    "2a00:1450::200:5efe:808:808",
]

PRIVATE = [
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:808:8:800::",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2a00:1450::5efe:10.0.0.1",
    "2a00:1450::200:5efe:192.168.0.1",
    "fe80::5efe:127.0.0.1",
]

NOBODY = [
    "0.0.0.0",
    "0.1.2.3",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::2",
    "::8.8.8.8",
    "::127.0.0.1",
    "100::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1%eth0",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "64:ff9b::224.0.0.1",
    "2002:e000:1::1",
    "2a00:1450::5efe:224.0.0.1",
    "",
    "localhost",
    "1.2.3",
    "0x7f.1",
    "127.1",
    "1.1.1.1 ",
    "::1::",
]


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str, allow_private: bool) -> None:
    assert is_allowed(address, allow_private)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_allowed_only_on_request(address: str) -> None:
    assert not is_allowed(address, allow_private=False)
    assert is_allowed(address, allow_private=True)


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("address", NOBODY)
def test_what_is_no_hosts_address_is_never_allowed(address: str, allow_private: bool) -> None:
    assert not is_allowed(address, allow_private)


def test_teredo_is_judged_by_server_and_client() -> None:
    server, client = 0x08080808, 0x08080404
    low = client ^ 0xFFFF_FFFF

    def teredo(server: int, low: int) -> str:
        groups = (0x2001, 0, server >> 16, server & 0xFFFF, 0, 0, low >> 16, low & 0xFFFF)
        return ":".join(f"{group:x}" for group in groups)

    assert is_allowed(teredo(server, low), allow_private=False)
    assert not is_allowed(teredo(server, 0x0A000001 ^ 0xFFFF_FFFF), allow_private=False)
    assert not is_allowed(teredo(0x0A000001, low), allow_private=False)
    assert is_allowed(teredo(0x0A000001, low), allow_private=True)
