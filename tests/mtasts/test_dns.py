"""Records and addresses from a real name server that fails in every way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.resolver
import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from policies.mtasts import dns as ours
from policies.mtasts import nameserver
from policies.mtasts.dns import LONGEST_NEGATIVE_TTL, Addresses, Resolver, TXTAnswer
from policies.mtasts.domain import Domain
from policies.mtasts.ede import VALIDATION_FAILURES
from policies.mtasts.errors import (
    DNSError,
    MultipleRecordsError,
    NoRecordError,
    RecordSyntaxError,
)
from policies.mtasts.record import Record
from policies.tlsrpt.failures import failure_details
from tests.lab import answers
from tests.mtasts.fetching import BRIEF, DOMAIN, ENOUGH, NAME, resolver_of

if TYPE_CHECKING:
    from tests.lab.lab import Host, Lab

HOST = f"mta-sts.{NAME}"
GOOD = answers.Records("v=STSv1; id=1;")


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.domain(NAME)


@pytest.fixture
def silent_nameserver() -> Iterator[str]:
    """A nameserver that takes queries and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def dns_error_of(resolver: Resolver) -> DNSError:
    with pytest.raises(DNSError) as caught:
        resolver.lookup_record(DOMAIN)
    return caught.value


def test_a_useless_answer_says_what_was_seen(lab: Lab, host: Host) -> None:
    host.txt = answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;")
    with pytest.raises(MultipleRecordsError) as caught:
        resolver_of(lab).lookup_record(DOMAIN)
    assert sorted(caught.value.seen) == ["v=STSv1; id=1;", "v=STSv1; id=2;"]


def test_the_record_comes_with_its_ttl(lab: Lab, host: Host) -> None:
    host.txt = answers.Records("v=STSv1; id=20260101;", ttl=1234)
    assert resolver_of(lab).lookup_record(DOMAIN) == TXTAnswer(Record("STSv1", "20260101"), 1234)


def test_strings_of_one_record_are_joined_without_a_blank(lab: Lab, host: Host) -> None:
    host.txt = answers.Records(("v=STSv1; i", "d=12", "34;"))
    assert resolver_of(lab).lookup_record(DOMAIN).record.id == "1234"


def test_other_txt_records_do_not_matter(lab: Lab, host: Host) -> None:
    host.txt = answers.Records("v=spf1 -all", "v=STSv1; id=1;", "\xff\x00")
    assert resolver_of(lab).lookup_record(DOMAIN).record.id == "1"


@pytest.mark.parametrize(
    ("answer", "error", "reason", "ttl"),
    [
        (answers.NXDomain(ttl=77), NoRecordError, "no-mta-sts-dns-txt-record", 77),
        (answers.Absent(ttl=78), NoRecordError, "no-mta-sts-dns-txt-record", 78),
        (
            answers.NXDomain(ttl=10**6),
            NoRecordError,
            "no-mta-sts-dns-txt-record",
            LONGEST_NEGATIVE_TTL,
        ),
        (
            answers.Records("v=spf1 -all", ttl=79),
            NoRecordError,
            "no-mta-sts-dns-txt-record",
            79,
        ),
        (
            answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;", ttl=80),
            MultipleRecordsError,
            "multiple-mta-sts-records",
            80,
        ),
        (
            answers.Records("v=STSv1; id=1;", "v=STSv1; broken", ttl=81),
            MultipleRecordsError,
            "multiple-mta-sts-records",
            81,
        ),
        (
            answers.Records("v=STSv1; id=;", ttl=82),
            RecordSyntaxError,
            "record-syntax-error",
            82,
        ),
        (
            answers.Records("v=STSv1; id=1\xff;", ttl=83),
            RecordSyntaxError,
            "record-syntax-error",
            83,
        ),
    ],
)
def test_an_answer_without_a_usable_record_is_named_and_timed(
    lab: Lab,
    host: Host,
    answer: answers.Answer,
    error: type[NoRecordError],
    reason: str,
    ttl: int,
) -> None:
    host.txt = answer
    with pytest.raises(error) as caught:
        resolver_of(lab).lookup_record(DOMAIN)
    assert caught.value.ttl == ttl
    assert str(failure_details(caught.value)) == f"sts-policy-fetch-error: {reason}"


def test_a_domain_too_long_for_the_record_is_not_asked_about(lab: Lab) -> None:
    name = ".".join(["a" * 61] * 4)
    with pytest.raises(NoRecordError):
        resolver_of(lab).lookup_record(Domain(name, name))
    assert lab.queries.count() == 0


def test_cnames_are_followed_and_the_shortest_ttl_counts(lab: Lab, host: Host) -> None:
    host.txt = answers.CNAME("one.provider.test", ttl=300)
    lab.zone["one.provider.test", "TXT"] = answers.CNAME("two.provider.test", ttl=50)
    lab.zone["two.provider.test", "TXT"] = answers.Records("v=STSv1; id=7;", ttl=200)
    assert resolver_of(lab).lookup_record(DOMAIN) == TXTAnswer(Record("STSv1", "7"), 50)


def test_a_cname_to_nowhere_is_no_record(lab: Lab, host: Host) -> None:
    host.txt = answers.CNAME("nowhere.provider.test")
    with pytest.raises(NoRecordError):
        resolver_of(lab).lookup_record(DOMAIN)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answers.ServFail(), "servfail"),
        (answers.Fails("REFUSED"), "refused"),
        (answers.Fails("NOTIMP"), "notimp"),
        (answers.Fails("FORMERR"), "formerr"),
        (answers.Fails("YXDOMAIN"), "yxdomain"),
        (answers.CNAME(f"_mta-sts.{NAME}"), "cname-loop"),
        (answers.Truncated(answers.Garbage()), "malformed-reply"),
        (answers.Truncated(answers.ServFail()), "servfail"),
    ],
)
def test_dns_without_an_answer_is_a_temporary_error(
    lab: Lab, host: Host, answer: answers.Answer, reason: str
) -> None:
    host.txt = answer
    error = dns_error_of(resolver_of(lab))
    assert (error.reason, error.ede) == (reason, None)
    assert str(failure_details(error)) == f"sts-policy-fetch-error: dns-lookup+{reason}"
    assert NAME in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        answers.Silence(),
        answers.Garbage(),
        answers.WrongId(GOOD),
        answers.Slow(ENOUGH, GOOD),
        answers.Truncated(answers.Silence()),
    ],
)
def test_a_lookup_ends_when_its_time_is_up(lab: Lab, host: Host, answer: answers.Answer) -> None:
    host.txt = answer
    error = dns_error_of(resolver_of(lab, BRIEF))
    assert str(failure_details(error)) == "sts-policy-fetch-error: dns-lookup+timeout"


@pytest.mark.parametrize(("code", "text"), VALIDATION_FAILURES.items())
def test_failed_dnssec_validation_is_named(lab: Lab, host: Host, code: int, text: str) -> None:
    host.txt = answers.ServFail(ede=code)
    error = dns_error_of(resolver_of(lab))
    assert (error.reason, error.ede) == ("servfail", code)
    assert failure_details(error).reason_code == f"dns-extended-error-{code}-{text}"


def test_an_extended_error_about_something_else_is_left_out(lab: Lab, host: Host) -> None:
    host.txt = answers.ServFail(ede=22)
    error = dns_error_of(resolver_of(lab))
    assert error.ede is None
    assert failure_details(error).reason_code == "dns-lookup+servfail"


def test_a_name_that_cannot_be_asked_about_is_an_error_too(lab: Lab) -> None:
    with pytest.raises(DNSError) as caught:
        resolver_of(lab).query("a..test", "MX")
    assert caught.value.reason == "bad-name"


def test_no_time_for_a_question_is_a_timeout(lab: Lab) -> None:
    with pytest.raises(DNSError) as caught:
        resolver_of(lab).query(NAME, "MX", timeout=0)
    assert caught.value.reason == "timeout"


def test_a_truncated_answer_is_asked_for_again_over_tcp(lab: Lab, host: Host) -> None:
    host.txt = answers.Truncated(GOOD)
    assert resolver_of(lab).lookup_record(DOMAIN).record.id == "1"
    assert [query.transport for query in lab.queries] == ["udp", "tcp"]


def test_queries_carry_edns(lab: Lab, host: Host) -> None:
    resolver_of(lab).lookup_record(DOMAIN)
    assert [query.edns for query in lab.queries] == [True]


def test_proof_by_dnssec_is_passed_on(lab: Lab, host: Host) -> None:
    resolver = resolver_of(lab)
    host.mx = answers.Records("10 mx.example.test.", ttl=99, authenticated=True)
    answer = resolver.query(NAME, "MX")
    assert (str(answer.records[0]), answer.ttl) == ("10 mx.example.test.", 99)
    assert answer.authentic
    host.mx = answers.Absent(authenticated=True)
    assert resolver.query(NAME, "MX").authentic
    host.mx = answers.Records("10 mx.example.test.")
    assert not resolver.query(NAME, "MX").authentic


def test_an_absent_type_and_an_absent_name_are_told_apart(lab: Lab, host: Host) -> None:
    resolver = resolver_of(lab)
    assert resolver.query(NAME, "MX").exists
    assert not resolver.query("nowhere.test.", "MX").exists


def test_the_next_nameserver_is_asked_when_one_fails(lab: Lab, host: Host) -> None:
    host.txt = answers.InTurn(answers.ServFail(), GOOD)
    resolver = Resolver((lab.nameserver, lab.nameserver), ENOUGH)
    assert resolver.lookup_record(DOMAIN).record.id == "1"


def test_a_silent_nameserver_gives_way_to_the_next(
    lab: Lab, host: Host, silent_nameserver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nameserver, "ATTEMPT", 0.05)
    resolver = Resolver((silent_nameserver, lab.nameserver), ENOUGH)
    assert resolver.lookup_record(DOMAIN).record.id == "1"


def test_of_several_failures_servfail_counts(lab: Lab, host: Host, silent_nameserver: str) -> None:
    host.txt = answers.InTurn(answers.ServFail(ede=6), answers.Fails("REFUSED"))
    error = dns_error_of(Resolver((lab.nameserver, lab.nameserver), ENOUGH))
    assert (error.reason, error.ede) == ("servfail", 6)
    host.txt = answers.ServFail()
    error = dns_error_of(Resolver((lab.nameserver, silent_nameserver), BRIEF))
    assert error.reason == "servfail"


def test_a_nameserver_without_tcp_is_unreachable(lab: Lab, host: Host) -> None:
    truncating = threading.Thread(target=_truncate_one, args=(server := _udp_server(),))
    truncating.start()
    error = dns_error_of(Resolver((f"127.0.0.1:{server.getsockname()[1]}",), ENOUGH))
    truncating.join()
    server.close()
    assert error.reason == "nameserver-unreachable"
    assert "truncated" in str(error)


def _udp_server() -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    return server


def _truncate_one(server: socket.socket) -> None:
    query, peer = server.recvfrom(4096)
    response = dns.message.make_response(dns.message.from_wire(query))
    response.flags |= dns.flags.TC
    server.sendto(response.to_wire(), peer)


def test_both_families_are_found_in_turn_ipv6_first(lab: Lab, host: Host) -> None:
    host.a = answers.Records("192.0.2.1", "192.0.2.2", "192.0.2.3", ttl=50)
    host.aaaa = answers.Records("2001:db8::1", "2001:db8::2", ttl=40)
    addresses = resolver_of(lab).addresses(HOST)
    assert [":" in address for address in addresses.found] == [True, False, True, False, False]
    assert len(set(addresses.found)) == 5
    assert addresses.ttl == 40


@pytest.mark.parametrize("failure", [answers.ServFail(), answers.Silence(), answers.Absent(ttl=9)])
def test_one_family_is_enough(lab: Lab, host: Host, failure: answers.Answer) -> None:
    resolver = resolver_of(lab)
    host.a, host.aaaa = answers.Records("192.0.2.1"), failure
    assert resolver.addresses(HOST, BRIEF).found == ("192.0.2.1",)
    host.a, host.aaaa = failure, answers.Records("2001:db8::1")
    assert resolver.addresses(HOST, BRIEF).found == ("2001:db8::1",)


def test_a_host_without_addresses_has_none(lab: Lab, host: Host) -> None:
    host.a, host.aaaa = answers.Absent(ttl=30), answers.Absent(ttl=20)
    assert resolver_of(lab).addresses(HOST) == Addresses((), 20)


def test_a_host_that_does_not_exist_is_asked_about_once(lab: Lab) -> None:
    assert resolver_of(lab).addresses(HOST).found == ()
    assert lab.queries.count(HOST) == 1


def test_no_address_found_and_a_family_failing_is_a_failure(lab: Lab, host: Host) -> None:
    resolver = resolver_of(lab)
    host.a, host.aaaa = answers.Absent(), answers.ServFail()
    with pytest.raises(DNSError, match="AAAA"):
        resolver.addresses(HOST)
    host.a, host.aaaa = answers.ServFail(), answers.Fails("REFUSED")
    with pytest.raises(DNSError) as caught:
        resolver.addresses(HOST)
    assert caught.value.reason == "servfail"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("127.0.0.1", "127.0.0.1 port 53"),
        ("127.0.0.1:5353", "127.0.0.1 port 5353"),
        ("::1", "::1 port 53"),
        ("[::1]:5353", "::1 port 5353"),
    ],
)
def test_a_nameserver_may_be_written_so(text: str, shown: str) -> None:
    assert str(Resolver((text,))._parsed[0]) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ns.example.test",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:५३",
        "127.0.0.1:+5",
        "[127.0.0.1:53",
        "[::1]",
        "[::1",
        "[::1]x",
        "[::1]53",
        "::1]:53",
        ":53",
    ],
)
def test_what_is_no_nameserver_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no nameserver"):
        Resolver((text,))


def test_without_nameservers_the_systems_are_asked(
    lab: Lab, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(resolver: dns.resolver.Resolver, file: str) -> None:
        address, _, port = lab.nameserver.partition(":")
        resolver.nameservers, resolver.port = [address], int(port)

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", read)
    assert Resolver().lookup_record(DOMAIN).record.id == "1"


def test_a_system_without_nameservers_is_a_temporary_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(resolver: dns.resolver.Resolver, file: str) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", read)
    assert dns_error_of(Resolver()).reason == "no-nameserver"


def test_whom_the_system_asks_is_read_anew(
    lab: Lab, host: Host, monkeypatch: pytest.MonkeyPatch, silent_nameserver: str
) -> None:
    asked = silent_nameserver

    def read(resolver: dns.resolver.Resolver, file: str) -> None:
        address, _, port = asked.partition(":")
        resolver.nameservers, resolver.port = [address], int(port)

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", read)
    monkeypatch.setattr(ours, "SYSTEM_KEPT", 0.0)
    resolver = Resolver(timeout=BRIEF)
    assert dns_error_of(resolver).reason == "timeout"
    asked = lab.nameserver
    assert resolver.lookup_record(DOMAIN).record.id == "1"
