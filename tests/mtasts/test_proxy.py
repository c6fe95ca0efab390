"""Policies by way of an HTTP proxy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from trustme import CA

from policies.mtasts.deadline import Deadline
from policies.mtasts.errors import FetchError
from policies.mtasts.https import Step
from policies.mtasts.proxy import Proxy
from tests.lab import replies
from tests.lab.certificate import Certificate
from tests.mtasts.connect_proxy import ConnectProxy
from tests.mtasts.fetching import BRIEF, DOMAIN, NAME, POLICY, failure_of, fetcher_of

if TYPE_CHECKING:
    from tests.lab.lab import Host, Lab

CANNOT = "sts-policy-fetch-error: cannot-fetch-policy+"


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.domain(NAME, POLICY)


@pytest.fixture
def policy_host(lab: Lab) -> tuple[str, int]:
    return lab.addresses[0], lab.policy_port


@pytest.fixture
def proxy(policy_host: tuple[str, int]) -> Iterator[ConnectProxy]:
    with ConnectProxy(policy_host) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def proxy_ca() -> CA:
    return CA()


@pytest.fixture
def tls_proxy(proxy_ca: CA, policy_host: tuple[str, int]) -> Iterator[ConnectProxy]:
    """A proxy whose certificate is for localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    proxy_ca.issue_cert("localhost").configure_cert(context)
    with ConnectProxy(policy_host, context=context) as proxy:
        yield proxy


@pytest.fixture
def both_roots(lab: Lab, proxy_ca: CA, tmp_path: Path) -> str:
    """A PEM file of the laboratory's root and that of the proxy."""
    file = tmp_path / "roots.pem"
    file.write_bytes(Path(lab.ca_file).read_bytes() + proxy_ca.cert_pem.bytes())
    return str(file)


def url(proxy: ConnectProxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


def test_a_policy_comes_through_a_proxy(lab: Lab, host: Host, proxy: ConnectProxy) -> None:
    steps: list[Step] = []
    fetched = fetcher_of(lab, proxy=url(proxy)).fetch(DOMAIN, steps.append)
    assert (fetched.text, fetched.address) == (POLICY, None)
    assert [step.kind for step in steps] == ["certificate", "status"]
    authority = f"mta-sts.{NAME}:{lab.policy_port}"
    assert proxy.heads == [f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"]
    assert lab.queries.count() == 0


def test_a_proxy_is_told_the_credentials(lab: Lab, host: Host, proxy: ConnectProxy) -> None:
    fetcher_of(lab, proxy=f"http://us%40er:p%C3%A4ss@127.0.0.1:{proxy.port}/").fetch(DOMAIN)
    assert "Proxy-Authorization: Basic dXNAZXI6cMOkc3M=\r\n" in proxy.heads[0]


def test_certificates_are_checked_behind_a_proxy_too(
    lab: Lab, host: Host, proxy: ConnectProxy
) -> None:
    host.certificate = Certificate.EXPIRED
    failure = failure_of(fetcher_of(lab, proxy=url(proxy)))
    assert failure == "sts-webpki-invalid: certificate-expired"


def test_a_proxy_may_be_spoken_to_over_tls(
    lab: Lab, host: Host, tls_proxy: ConnectProxy, both_roots: str
) -> None:
    proxy = f"https://localhost:{tls_proxy.port}"
    fetcher = fetcher_of(lab, proxy=proxy, ca_file=both_roots)
    assert fetcher.fetch(DOMAIN).text == POLICY
    host.behaviour = replies.Serve(framing="close")
    assert fetcher.fetch(DOMAIN).text == POLICY


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (replies.Serve(framing="cut"), "response-cut-short"),
        (replies.Drip("handshake", 0.01), "io-timeout-during-handshake"),
        (replies.Drip("body", 0.01), "policy-fetch-timeout"),
        (replies.Alert(40), "tls-remote-alert-40-handshake-failure"),
    ],
    ids=repr,
)
def test_tls_inside_tls_is_held_to_the_same(
    lab: Lab,
    host: Host,
    tls_proxy: ConnectProxy,
    both_roots: str,
    behaviour: replies.Behaviour,
    reason: str,
) -> None:
    host.behaviour = behaviour
    proxy = f"https://localhost:{tls_proxy.port}"
    timeout = BRIEF if "timeout" in reason else 10
    fetcher = fetcher_of(lab, proxy=proxy, ca_file=both_roots, timeout=timeout)
    assert failure_of(fetcher) == CANNOT + reason


def test_a_proxy_with_a_bad_certificate_is_not_the_domains_fault(
    lab: Lab, host: Host, tls_proxy: ConnectProxy, both_roots: str
) -> None:
    fetcher = fetcher_of(lab, proxy=f"https://127.0.0.1:{tls_proxy.port}", ca_file=both_roots)
    assert failure_of(fetcher) == CANNOT + "proxy-certificate-host-mismatch"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy-http-status-407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "proxy-http-status-502"),
        (b"SSH-2.0-OpenSSH\r\n", "proxy-malformed-http-response"),
        (b"HTTP/1.1 200 OK\r\nA: b", "proxy-policy-fetch-timeout"),
        (b"", "proxy-policy-fetch-timeout"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_named(
    lab: Lab, host: Host, policy_host: tuple[str, int], reply: bytes, reason: str
) -> None:
    with ConnectProxy(policy_host, reply=reply) as proxy:
        assert failure_of(fetcher_of(lab, proxy=url(proxy), timeout=BRIEF)) == CANNOT + reason


def test_the_password_of_a_proxy_is_not_shown(lab: Lab) -> None:
    fetcher = fetcher_of(lab, proxy="http://user:secret@proxy.example:3128")
    assert "secret" not in repr(fetcher)
    assert "secret" not in repr(Proxy.parse("http://user:secret@proxy.example:3128"))
    with pytest.raises(ValueError, match="no proxy") as caught:
        Proxy.parse("socks5://user:secret@proxy.example:3128")
    assert "secret" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_named(lab: Lab, host: Host) -> None:
    failure = failure_of(fetcher_of(lab, proxy="http://127.0.0.1:1"))
    assert failure == CANNOT + "proxy-connection-refused"


def test_a_proxy_whose_name_nobody_knows_is_named() -> None:
    proxy = Proxy("::1%no-such-interface", 3128)
    context = ssl.create_default_context()
    with ExitStack() as held, pytest.raises(FetchError) as caught:
        proxy.tunnel(f"mta-sts.{NAME}", 443, Deadline(5), context, held)
    assert caught.value.reason == "proxy-host-not-found"


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example", Proxy("proxy.example", 80)),
        ("https://proxy.example/", Proxy("proxy.example", 443, tls=True)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("HTTP://user@proxy.example:1", Proxy("proxy.example", 1, credentials="user:")),
    ],
)
def test_a_proxy_may_be_written_so(text: str, proxy: Proxy) -> None:
    assert Proxy.parse(text) == proxy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy.example:3128",
        "socks5://proxy.example",
        "http://",
        "http://proxy.example/path",
        "http://proxy.example:port",
        "http://proxy.example:99999",
        "http://[::1",
    ],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - urlsplit words some of them
        Proxy.parse(text)
