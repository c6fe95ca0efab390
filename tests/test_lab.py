"""The laboratory does what the other tests trust it to do."""

from __future__ import annotations

import gzip
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from tests.lab import answers, replies
from tests.lab.certificate import Certificate

pytest.importorskip("cryptography", reason="pip install -r requirements-dev.txt")

from tests.lab.lab import Lab, Served
from tests.lab.synthetic import serve_synthetic

if TYPE_CHECKING:
    from tests.lab.lab import Host
    from tests.lab.replies import Behaviour

POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 86400\n"
RECORD = answers.Records("v=STSv1; id=1;")
DOMAIN = "example.test"
NAME = "_mta-sts.example.test"
POLICY_HOST = "mta-sts.example.test"
SOON = 5
AT_ONCE = 0.05


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.domain(DOMAIN, POLICY)


def ask(
    lab: Lab,
    name: str = NAME,
    type_: str = "TXT",
    *,
    tcp: bool = False,
    edns: bool = False,
    ad: bool = False,
    timeout: float = SOON,
) -> dns.message.QueryMessage:
    """One query, one reply, no cleverness."""
    query = dns.message.make_query(name, type_, use_edns=0 if edns else -1)
    if ad:
        query.flags |= dns.flags.AD
    address, port = lab.nameserver.split(":")
    send = dns.query.tcp if tcp else dns.query.udp
    reply = send(query, address, timeout, int(port))
    assert isinstance(reply, dns.message.QueryMessage)
    return reply


def texts(reply: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset)


@contextmanager
def connected(lab: Lab, address: str | None = None) -> Iterator[socket.socket]:
    target = (address or lab.addresses[0], lab.policy_port)
    with socket.create_connection(target, timeout=SOON) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


@contextmanager
def secured(
    lab: Lab, server_name: str = POLICY_HOST, address: str | None = None
) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=lab.ca_file)
    context.hostname_checks_common_name = False
    with (
        connected(lab, address) as sock,
        context.wrap_socket(
            sock, server_hostname=server_name, suppress_ragged_eofs=False
        ) as secure,
    ):
        yield secure


def client_hello(server_name: str = POLICY_HOST) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname=server_name
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def request(sock: ssl.SSLSocket, path: str = replies.WELL_KNOWN) -> None:
    host = str(sock.server_hostname)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def read(sock: socket.socket) -> bytes:
    """Everything up to the end of the session."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def read_ciphertext(sock: ssl.SSLSocket) -> bytes:
    """What is below TLS, where Python does not hide a reset behind an end of file."""
    return b"".join(iter(lambda: socket.socket.recv(sock, 65536), b""))


def get(
    lab: Lab,
    server_name: str = POLICY_HOST,
    path: str = replies.WELL_KNOWN,
    address: str | None = None,
) -> tuple[bytes, bytes]:
    """Head and body of the response, as sent."""
    with secured(lab, server_name, address) as sock:
        request(sock, path)
        head, _, body = read(sock).partition(b"\r\n\r\n")
        return head, body


class TestNames:
    def test_a_domain_has_a_record_an_address_and_a_policy(self, lab: Lab, host: Host) -> None:
        assert texts(ask(lab)) == ['"v=STSv1; id=1;"']
        (address,) = texts(ask(lab, POLICY_HOST, "A"))
        assert get(lab, address=address)[1] == POLICY.encode()

    def test_names_compare_without_case(self, lab: Lab, host: Host) -> None:
        assert texts(ask(lab, "_MTA-sts.Example.TEST.")) == ['"v=STSv1; id=1;"']
        assert lab["EXAMPLE.test"] is host

    def test_the_transports_carry_the_same(self, lab: Lab, host: Host) -> None:
        assert texts(ask(lab, tcp=True)) == texts(ask(lab))
        assert [query.transport for query in lab.queries] == ["tcp", "udp"]

    def test_an_unknown_name_is_nxdomain_with_a_soa(self, lab: Lab) -> None:
        reply = ask(lab)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert reply.authority[0][0].minimum == answers.NEGATIVE_TTL

    @pytest.mark.parametrize(("name", "type_"), [(NAME, "AAAA"), (DOMAIN, "TXT")])
    def test_a_name_with_something_else_at_or_under_it_has_no_data(
        self, lab: Lab, host: Host, name: str, type_: str
    ) -> None:
        reply = ask(lab, name, type_)
        assert reply.rcode() == dns.rcode.NOERROR
        assert not reply.answer
        assert reply.authority

    def test_a_record_taken_away_takes_its_name_along(self, lab: Lab, host: Host) -> None:
        host.txt = None
        assert ask(lab).rcode() == dns.rcode.NXDOMAIN

    def test_changes_hold_from_the_next_query_on(self, lab: Lab, host: Host) -> None:
        host.publish(POLICY, id="2", ttl=7)
        reply = ask(lab)
        assert texts(reply) == ['"v=STSv1; id=2;"']
        assert reply.answer[0].ttl == 7

    def test_the_whole_domain_can_fail_and_recover(self, lab: Lab, host: Host) -> None:
        host.dns = answers.ServFail()
        names = [(NAME, "TXT"), (POLICY_HOST, "A"), ("_25._tcp.mx.example.test", "TLSA")]
        assert {ask(lab, *name).rcode() for name in names} == {dns.rcode.SERVFAIL}
        host.dns = None
        assert texts(ask(lab)) == ['"v=STSv1; id=1;"']

    def test_a_domain_begun_anew_keeps_nothing(self, lab: Lab, host: Host) -> None:
        host.mx = answers.Records("10 mx.example.test.")
        lab.domain(DOMAIN, id=None)
        assert not ask(lab, DOMAIN, "MX").answer
        assert ask(lab).rcode() == dns.rcode.NXDOMAIN

    def test_names_by_rule_need_not_be_stored(self, lab: Lab) -> None:
        lab.dns_default = lambda name, type_: RECORD if name == NAME and type_ == "TXT" else None
        assert texts(ask(lab)) == ['"v=STSv1; id=1;"']
        assert ask(lab, "other.test").rcode() == dns.rcode.NXDOMAIN


class TestAnswers:
    def test_records_keep_their_strings_and_bytes(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Records(("v=STSv1; ", "id=1;"), 'quote " and \\ and \xe9')
        rdatas = [rdata.strings for rrset in ask(lab).answer for rdata in rrset]
        assert sorted(rdatas) == [(b'quote " and \\ and \xe9',), (b"v=STSv1; ", b"id=1;")]

    def test_every_type_of_record_can_be_published(self, lab: Lab, host: Host) -> None:
        host.mx = answers.Records("10 mx.example.test.", "20 mx2.example.test.")
        host.aaaa = answers.Records("::1")
        lab.zone["_25._tcp.mx.example.test", "TLSA"] = answers.Records("3 1 1 " + "ab" * 32)
        assert texts(ask(lab, DOMAIN, "MX")) == ["10 mx.example.test.", "20 mx2.example.test."]
        assert texts(ask(lab, POLICY_HOST, "AAAA")) == ["::1"]
        assert texts(ask(lab, "_25._tcp.mx.example.test", "TLSA")) == ["3 1 1 " + "ab" * 32]

    def test_the_policy_host_can_have_several_addresses_or_none(self, lab: Lab, host: Host) -> None:
        host.resolve_to("127.0.0.2", "127.0.0.3")
        assert texts(ask(lab, POLICY_HOST, "A")) == ["127.0.0.2", "127.0.0.3"]
        host.resolve_to()
        assert ask(lab, POLICY_HOST, "A").rcode() == dns.rcode.NXDOMAIN

    @pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
    def test_errors_are_told(self, lab: Lab, host: Host, rcode: str) -> None:
        host.txt = answers.Fails(rcode)
        assert dns.rcode.to_text(ask(lab).rcode()) == rcode

    @pytest.mark.parametrize("code", [6, 4711])
    def test_an_extended_error_comes_only_with_edns(self, lab: Lab, host: Host, code: int) -> None:
        host.txt = answers.ServFail(ede=code, text="why")
        (error,) = ask(lab, edns=True).extended_errors()
        assert (error.code, error.text) == (code, "why")
        assert ask(lab).extended_errors() == []

    def test_negative_answers_carry_their_ttl(self, lab: Lab, host: Host) -> None:
        host.txt = answers.NXDomain(ttl=7)
        reply = ask(lab)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert (reply.authority[0].ttl, reply.authority[0][0].minimum) == (7, 7)

    def test_proof_is_claimed_only_to_those_who_ask(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Records("v=STSv1; id=1;", authenticated=True)
        assert ask(lab, ad=True).flags & dns.flags.AD
        assert not ask(lab).flags & dns.flags.AD
        host.txt = RECORD
        assert not ask(lab, ad=True).flags & dns.flags.AD

    def test_a_cname_is_followed_with_each_ttl_kept(self, lab: Lab, host: Host) -> None:
        lab.zone["_mta-sts.b.test", "*"] = answers.CNAME("_mta-sts.c.test", ttl=60)
        lab.zone["_mta-sts.c.test", "*"] = answers.CNAME(NAME, ttl=30)
        reply = ask(lab, "_mta-sts.b.test")
        assert [rrset.ttl for rrset in reply.answer] == [60, 30, 300]
        assert reply.resolve_chaining().minimum_ttl == 30

    def test_a_dangling_cname_leads_to_nxdomain(self, lab: Lab, host: Host) -> None:
        host.txt = answers.CNAME("nowhere.test")
        reply = ask(lab)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert texts(reply) == ["nowhere.test."]

    def test_a_cname_loop_ends(self, lab: Lab, host: Host) -> None:
        host.txt = answers.CNAME(NAME)
        with pytest.raises(dns.message.ChainTooLong):
            ask(lab).resolve_chaining()

    def test_a_cname_to_an_unproven_name_is_unproven(self, lab: Lab, host: Host) -> None:
        lab.zone["b.test", "TXT"] = answers.CNAME(NAME, authenticated=True)
        assert not ask(lab, "b.test", ad=True).flags & dns.flags.AD
        host.txt = answers.Records("v=STSv1; id=1;", authenticated=True)
        assert ask(lab, "b.test", ad=True).flags & dns.flags.AD

    def test_silence_is_silent(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Silence()
        with pytest.raises(dns.exception.Timeout):
            ask(lab, timeout=AT_ONCE)
        with pytest.raises(dns.exception.Timeout):
            ask(lab, timeout=AT_ONCE, tcp=True)

    def test_truncation_is_cured_by_tcp(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Truncated(RECORD)
        assert ask(lab).flags & dns.flags.TC
        assert not ask(lab).answer
        assert texts(ask(lab, tcp=True)) == ['"v=STSv1; id=1;"']

    def test_what_is_too_long_for_udp_is_truncated(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Records(("x" * 255,) * 3)
        assert ask(lab).flags & dns.flags.TC
        assert not ask(lab, edns=True).flags & dns.flags.TC
        assert not ask(lab, tcp=True).flags & dns.flags.TC

    def test_garbage_is_no_message(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Garbage()
        with pytest.raises(dns.exception.DNSException):
            ask(lab)

    def test_a_wrong_id_is_no_answer(self, lab: Lab, host: Host) -> None:
        host.txt = answers.WrongId(RECORD)
        with pytest.raises(dns.query.BadResponse):
            ask(lab)

    def test_a_slow_answer_comes_and_keeps_nobody_else_waiting(self, lab: Lab, host: Host) -> None:
        host.txt = answers.Slow(AT_ONCE, RECORD)
        assert texts(ask(lab)) == ['"v=STSv1; id=1;"']
        host.txt = answers.Slow(60, RECORD)
        with pytest.raises(dns.exception.Timeout):
            ask(lab, timeout=AT_ONCE)
        assert ask(lab, POLICY_HOST, "A").answer

    def test_a_gate_holds_queries_until_it_opens(self, lab: Lab, host: Host) -> None:
        gate = lab.gate()
        host.txt = answers.Held(gate, RECORD)
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(ask, lab, tcp=tcp) for tcp in (False, True)]
            gate.wait_for_arrivals(2, timeout=SOON)
            assert not any(future.done() for future in asked)
            gate.open()
            assert [texts(future.result()) for future in asked] == [['"v=STSv1; id=1;"']] * 2

    def test_answers_can_take_turns(self, lab: Lab, host: Host) -> None:
        host.txt = answers.InTurn(answers.ServFail(), RECORD)
        rcodes = [ask(lab).rcode() for _ in range(3)]
        assert rcodes == [dns.rcode.SERVFAIL, dns.rcode.NOERROR, dns.rcode.NOERROR]

    def test_what_is_no_query_gets_no_answer(self, lab: Lab, host: Host) -> None:
        address, port = lab.nameserver.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"?", (address, int(port)))
        assert texts(ask(lab)) == ['"v=STSv1; id=1;"']
        assert len(lab.queries) == 1

    def test_the_log_says_who_was_asked_for(self, lab: Lab, host: Host) -> None:
        ask(lab, edns=True)
        ask(lab, POLICY_HOST, "A")
        assert lab.queries.count(NAME, "TXT") == lab.queries.count(POLICY_HOST) == 1
        assert lab.queries.count() == 2
        assert lab.queries[0].edns


class TestCertificates:
    @pytest.mark.parametrize("certificate", [Certificate.GOOD, Certificate.WILDCARD])
    def test_good_ones_are_accepted(self, lab: Lab, host: Host, certificate: Certificate) -> None:
        host.certificate = certificate
        assert get(lab)[1] == POLICY.encode()

    @pytest.mark.parametrize(
        ("certificate", "code"),
        [
            (Certificate.EXPIRED, 10),
            (Certificate.NOT_YET_VALID, 9),
            (Certificate.SELF_SIGNED, 18),
            (Certificate.WRONG_NAME, 62),
            (Certificate.CN_ONLY, 62),
            (Certificate.UNKNOWN_CA, 20),
            (Certificate.UNKNOWN_CA_SENT, 19),
            (Certificate.CLIENT_ONLY, 26),
            (Certificate.NOT_A_CA, 79),
        ],
    )
    def test_bad_ones_are_refused_for_what_they_are(
        self, lab: Lab, host: Host, certificate: Certificate, code: int
    ) -> None:
        host.certificate = certificate
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            get(lab)
        assert caught.value.verify_code == code
        assert lab.requests.count() == 0

    def test_many_domains_can_share_one(self, lab: Lab) -> None:
        domains = [f"d{number}.test" for number in range(300)]
        certificate = lab.shared_certificate(domains)
        for domain in domains:
            lab.domain(domain, POLICY, certificate=certificate)
        assert get(lab, "mta-sts.d299.test")[1] == POLICY.encode()

    def test_a_host_that_is_not_here_shows_the_certificate_of_another(self, lab: Lab) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            get(lab)


class TestReplies:
    @pytest.mark.parametrize("status", [204, 206, 302, 404, 500, 503])
    def test_any_status_is_sent(self, lab: Lab, host: Host, status: int) -> None:
        host.behaviour = replies.Serve(status=status)
        head, body = get(lab)
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert body == (b"" if status == 204 else POLICY.encode())

    def test_a_redirect_points_elsewhere(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.redirect("https://elsewhere.test/", 302)
        head, _ = get(lab)
        assert head.startswith(b"HTTP/1.1 302 ")
        assert b"Location: https://elsewhere.test/" in head

    def test_no_policy_and_another_path_are_not_found(self, lab: Lab, host: Host) -> None:
        assert get(lab, path="/")[0].startswith(b"HTTP/1.1 404 ")
        host.policy = None
        assert get(lab)[0].startswith(b"HTTP/1.1 404 ")

    @pytest.mark.parametrize("size", [65536, 65537])
    def test_a_policy_can_be_of_any_size(self, lab: Lab, host: Host, size: int) -> None:
        host.policy = replies.policy_of_size(size, POLICY)
        assert len(get(lab)[1]) == size

    def test_a_policy_may_be_any_bytes(self, lab: Lab, host: Host) -> None:
        host.policy = b"\xff\x00"
        assert get(lab)[1] == b"\xff\x00"

    @pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "text/html", None])
    def test_the_content_type_can_be_any_or_absent(
        self, lab: Lab, host: Host, content_type: str | None
    ) -> None:
        host.behaviour = replies.Serve(content_type=content_type)
        head, _ = get(lab)
        if content_type is None:
            assert b"Content-Type" not in head
        else:
            assert f"Content-Type: {content_type}".encode() in head

    def test_the_body_can_be_compressed(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Serve(gzip=True)
        head, body = get(lab)
        assert b"Content-Encoding: gzip" in head
        assert gzip.decompress(body) == POLICY.encode()

    def test_the_body_can_come_in_chunks(self, lab: Lab, host: Host) -> None:
        host.policy = "abc"
        host.behaviour = replies.Serve(framing="chunked")
        head, body = get(lab)
        assert b"Transfer-Encoding: chunked" in head
        assert body == b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"

    def test_the_body_can_end_with_the_session(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Serve(framing="close")
        head, body = get(lab)
        assert b"Content-Length" not in head
        assert body == POLICY.encode()

    def test_the_body_can_be_cut_without_a_word(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Serve(framing="cut")
        with pytest.raises(ssl.SSLEOFError):
            get(lab)

    def test_the_body_can_be_shorter_than_announced(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Serve(framing="short")
        head, body = get(lab)
        assert f"Content-Length: {len(body) + replies.SHORTFALL}".encode() in head

    def test_a_header_can_be_huge(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.HugeHeader(70_000)
        head, body = get(lab)
        assert max(map(len, head.split(b"\r\n"))) == 70_000 - len(b"\r\n")
        assert body == POLICY.encode()

    @pytest.mark.parametrize(
        "behaviour",
        [
            replies.Drip("handshake", interval=0),
            replies.Drip("headers", interval=0),
            replies.Drip("body", interval=0),
        ],
    )
    def test_each_part_can_drip(self, lab: Lab, host: Host, behaviour: Behaviour) -> None:
        host.behaviour = behaviour
        assert get(lab)[1] == POLICY.encode()

    def test_a_dripping_handshake_comes_byte_by_byte(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Drip("handshake", interval=60)
        with connected(lab) as sock:
            sock.sendall(client_hello())
            assert len(sock.recv(100)) == 1

    @pytest.mark.parametrize(
        ("behaviour", "piece"),
        [
            (replies.Endless("continues", interval=0), b"HTTP/1.1 100 Continue\r\n\r\n"),
            (replies.Endless("headers", interval=0), b"X-More: and more\r\n"),
            (replies.Endless("header line", interval=0), b"and more and more"),
            (replies.Endless("body", interval=0), b"mx: mx.example.test\n"),
        ],
    )
    def test_each_part_can_go_on_for_ever(
        self, lab: Lab, host: Host, behaviour: Behaviour, piece: bytes
    ) -> None:
        host.behaviour = behaviour
        with secured(lab) as sock:
            request(sock)
            received = b"".join(sock.recv(4096) for _ in range(20))
        assert received.count(piece) >= 5

    def test_it_can_be_silent_after_the_handshake(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Silence("handshake")
        with secured(lab) as sock:
            request(sock)
            sock.settimeout(AT_ONCE)
            with pytest.raises(TimeoutError):
                sock.recv(1)

    def test_it_can_fall_silent_amid_the_body(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Silence("half the body")
        with secured(lab) as sock:
            request(sock)
            half = POLICY[: len(POLICY) // 2].encode()
            assert sock.recv(65536).endswith(half)
            sock.settimeout(AT_ONCE)
            with pytest.raises(TimeoutError):
                sock.recv(1)

    def test_it_can_be_silent_from_the_start(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Silence("accept")
        with connected(lab) as sock:
            sock.sendall(client_hello())
            sock.settimeout(AT_ONCE)
            with pytest.raises(TimeoutError):
                sock.recv(1)

    def test_it_can_reset_at_the_start(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Reset("accept")
        with connected(lab) as sock:
            sock.sendall(client_hello())
            with pytest.raises(ConnectionResetError):
                sock.recv(1)

    def test_it_can_reset_after_the_handshake(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Reset("handshake")
        with secured(lab) as sock, pytest.raises(ConnectionResetError):
            read_ciphertext(sock)

    def test_it_can_reset_amid_the_body(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Reset("half the body")
        with secured(lab) as sock:
            request(sock)
            with pytest.raises(ConnectionResetError):
                read_ciphertext(sock)

    @pytest.mark.parametrize(
        ("behaviour", "reason"),
        [
            (replies.PlainHTTP(), "WRONG_VERSION_NUMBER"),
            (replies.Alert(40), "SSLV3_ALERT_HANDSHAKE_FAILURE"),
            (replies.Alert(70), "TLSV1_ALERT_PROTOCOL_VERSION"),
            (replies.Alert(112), "TLSV1_UNRECOGNIZED_NAME"),
            (replies.OldTLS(), "UNSUPPORTED_PROTOCOL"),
        ],
    )
    def test_tls_can_fail(self, lab: Lab, host: Host, behaviour: Behaviour, reason: str) -> None:
        host.behaviour = behaviour
        with pytest.raises(ssl.SSLError) as caught:
            get(lab)
        assert caught.value.reason == reason

    def test_a_gate_holds_requests_until_it_opens(self, lab: Lab, host: Host) -> None:
        gate = lab.gate()
        host.behaviour = replies.Held(gate)
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(get, lab) for _ in range(2)]
            gate.wait_for_arrivals(2, timeout=SOON)
            assert not any(future.done() for future in asked)
            gate.open()
            assert [future.result()[1] for future in asked] == [POLICY.encode()] * 2

    def test_behaviours_can_take_turns(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.InTurn(replies.Serve(status=500), replies.Serve())
        heads = [get(lab)[0].split()[1] for _ in range(3)]
        assert heads == [b"500", b"200", b"200"]

    def test_the_log_says_what_was_asked(self, lab: Lab, host: Host) -> None:
        get(lab)
        (seen,) = lab.requests
        assert (seen.sni, seen.method, seen.path) == (POLICY_HOST, "GET", replies.WELL_KNOWN)
        assert seen.headers["host"] == POLICY_HOST
        assert seen.address == lab.addresses[0]
        assert lab.requests.count(POLICY_HOST, replies.WELL_KNOWN) == 1


class TestAddresses:
    def test_domains_are_spread_over_all_addresses(self, lab: Lab) -> None:
        count = len(lab.addresses)
        hosts = [lab.domain(f"d{number}.test", POLICY) for number in range(count)]
        spread = {texts(ask(lab, host.policy_host, "A"))[0] for host in hosts}
        assert spread == set(lab.addresses)
        assert get(lab, "mta-sts.d0.test", address=lab.addresses[-1])[1] == POLICY.encode()

    def test_an_address_can_be_chosen(self, lab: Lab) -> None:
        lab.domain(DOMAIN, POLICY, address="127.0.0.9")
        assert texts(ask(lab, POLICY_HOST, "A")) == ["127.0.0.9"]

    def test_an_address_can_refuse_or_swallow_connections(self, lab: Lab) -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((lab.closed_address, lab.policy_port), SOON)
        with pytest.raises(TimeoutError):
            socket.create_connection((lab.blackhole(), lab.policy_port), AT_ONCE)

    def test_connections_at_a_time_are_counted_by_address(self, lab: Lab, host: Host) -> None:
        gate = lab.gate()
        host.behaviour = replies.Held(gate)
        first, second, *_ = lab.addresses
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(get, lab, address=address) for address in (first, first, second)]
            gate.wait_for_arrivals(3, timeout=SOON)
            assert (lab.connections.now(first), lab.connections.now(second)) == (2, 1)
            gate.open()
            for future in asked:
                future.result()
        assert (lab.connections.peak(first), lab.connections.peak(second)) == (2, 1)
        assert (lab.connections.now(first), lab.connections.total()) == (0, 3)

    def test_connections_one_after_another_count_as_one_at_a_time(
        self, lab: Lab, host: Host
    ) -> None:
        for _ in range(20):
            with connected(lab):
                continue
        assert get(lab)[1] == POLICY.encode()
        assert lab.connections.peak(lab.addresses[0]) == 1


class TestLife:
    def test_the_settings_name_what_runs(self, lab: Lab) -> None:
        settings = lab.settings()
        assert settings["MTASTS_NAMESERVERS"] == lab.nameserver
        assert settings["MTASTS_POLICY_PORT"] == str(lab.policy_port)
        assert settings["MTASTS_CA_FILE"] == lab.ca_file
        assert settings["MTASTS_ALLOW_PRIVATE_ADDRESSES"] == "1"
        assert settings["MTASTS_MAX_PER_ADDRESS"] == "0"

    def test_stopping_leaves_no_thread_whatever_was_going_on(self) -> None:
        before = set(threading.enumerate())
        lab = Lab().start()
        host = lab.domain(DOMAIN, POLICY)
        held = lab.domain("held.test", POLICY, behaviour=replies.Held(gate := lab.gate()))
        with connected(lab) as silent, connected(lab) as dripping, connected(lab) as mute:
            host.behaviour = replies.Silence("accept")
            silent.sendall(client_hello())
            host.behaviour = replies.Drip("handshake", interval=60)
            dripping.sendall(client_hello())
            assert dripping.recv(1)
            host.txt = answers.Slow(60, RECORD)
            with pytest.raises(dns.exception.Timeout):
                ask(lab, timeout=AT_ONCE)
            with secured(lab, held.policy_host) as waiting:
                request(waiting)
                gate.wait_for_arrivals()
                lab.stop()
            assert set(threading.enumerate()) == before
            assert mute.recv(1) == b""

    def test_a_client_that_leaves_frees_its_thread(self, lab: Lab, host: Host) -> None:
        host.behaviour = replies.Drip("body", interval=60)
        with secured(lab) as sock:
            request(sock)
            sock.recv(1)
            workers = [thread for thread in threading.enumerate() if thread.name == "lab-worker"]
        for worker in workers:
            worker.join(SOON)
        assert not any(worker.is_alive() for worker in workers)

    def test_a_reset_forgets_everything(self, lab: Lab, host: Host) -> None:
        get(lab)
        ask(lab)
        lab.dns_default = lambda name, type_: RECORD
        lab.https_default = lambda name: Served(POLICY)
        lab.reset()
        assert (lab.queries.count(), lab.requests.count(), lab.connections.total()) == (0, 0, 0)
        assert lab.connections.peak(lab.addresses[0]) == 0
        assert ask(lab).rcode() == dns.rcode.NXDOMAIN
        with pytest.raises(ssl.SSLCertVerificationError):
            get(lab)

    def test_synthetic_domains_are_served_without_being_stored(self, lab: Lab) -> None:
        serve_synthetic(lab, 1_000_000, POLICY)
        assert texts(ask(lab, "_mta-sts.d999999.lab.test")) == ['"v=STSv1; id=1;"']
        (address,) = texts(ask(lab, "mta-sts.d999999.lab.test", "A"))
        assert get(lab, "mta-sts.d999999.lab.test", address=address)[1] == POLICY.encode()
        assert ask(lab, "_mta-sts.d1000000.lab.test").rcode() == dns.rcode.NXDOMAIN

    def test_it_runs_as_a_process_of_its_own(self) -> None:
        command = [sys.executable, "-m", "tests.lab", "--domains", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "\n"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON) == 0
        settings = dict(line.rstrip("\n").split("=", 1) for line in lines)
        assert settings["MTASTS_NAMESERVERS"].startswith("127.0.0.1:")
