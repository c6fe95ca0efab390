"""HTTP over a connection that stands already."""

from __future__ import annotations

import socket
from typing import cast

import pytest

from policies.mtasts.tls import TLSStream
from policies.mtasts.transport import send_get


@pytest.mark.parametrize(
    ("port", "host"),
    [(443, b"mta-sts.example.test"), (8443, b"mta-sts.example.test:8443")],
)
def test_the_host_is_named_without_the_usual_port(port: int, host: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        stream, path = cast(TLSStream, ours), "/.well-known/mta-sts.txt"
        send_get(stream, "mta-sts.example.test", port, path, {"X-Ours": "1"}).close()
        line, *headers = theirs.recv(4096).rstrip(b"\r\n").split(b"\r\n")
    assert line == b"GET /.well-known/mta-sts.txt HTTP/1.1"
    assert b"Host: " + host in headers
    assert b"X-Ours: 1" in headers
