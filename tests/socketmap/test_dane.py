"""Which domains are left to DANE, with a resolver that says which of its answers are proven."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dns.message
import dns.name
import dns.rdata
import dns.rrset
import pytest
from dns.rdataclass import IN
from dns.rdatatype import TLSA

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from mtastsweb.environment import OnDANE
from policies.mtasts.dns import Resolver
from policies.mtasts.domain import Domain, parse_domain
from policies.socketmap.dane import (
    DANE_ONLY,
    LONGEST,
    MAX_HOSTS,
    SHORTEST,
    UNDECIDED_TTL,
    DaneCheck,
    Finding,
    Verdict,
)
from policies.socketmap.domainfile import DomainFile
from policies.socketmap.reply import NOT_FOUND
from tests.lab import answers
from tests.lab.answers import CNAME, Absent, NXDomain, Records, ServFail, Silence

if TYPE_CHECKING:
    from tests.lab.lab import Lab

NAME = "example.test"
DOMAIN = parse_domain(NAME)
MX = "mx.example.test"
ELSEWHERE = "mx.hoster.test"
DIGEST = "ab" * 32
USABLE = f"3 1 1 {DIGEST}"
BRIEF = 0.4

STANDS = None


class BrokenTLSA(answers.Answer):
    """A proven record that has too few octets for a digest."""

    def to(self, question: answers.Question) -> dns.message.Message:
        reply = question.reply(authenticated=True)
        owner = dns.name.from_text(question.name)
        record = dns.rdata.GenericRdata(IN, TLSA, b"\x03\x01\x01\xab")
        reply.answer.append(dns.rrset.from_rdata(owner, 300, record))
        return reply


class Signed:
    """Puts records into the laboratory's zone, proven unless said otherwise."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def mx(self, *hosts: str, ttl: int = 300, proven: bool = True) -> None:
        values = [f"{10 * place} {host}." for place, host in enumerate(hosts, start=1)]
        self.at(NAME, "MX", Records(*values, ttl=ttl, authenticated=proven))

    def tlsa(self, host: str, *records: str, ttl: int = 300, proven: bool = True) -> None:
        self.at(f"_25._tcp.{host}", "TLSA", Records(*records, ttl=ttl, authenticated=proven))

    def address(self, host: str, *, proven: bool = True) -> None:
        self.at(host, "A", Records("127.0.0.1", authenticated=proven))

    def at(self, name: str, rdtype: str, answer: answers.Answer) -> None:
        self._lab.zone[name, rdtype] = answer


@pytest.fixture
def signed(lab: Lab) -> Signed:
    return Signed(lab)


@pytest.fixture
def check(lab: Lab) -> Callable[..., Verdict]:
    def judge(
        on_dane: OnDANE = OnDANE.NOTFOUND, *, domain: Domain = DOMAIN, timeout: float = 10.0
    ) -> Verdict:
        resolver = Resolver((lab.nameserver,))
        return DaneCheck(resolver, on_dane, timeout=timeout).check(domain)

    return judge


Check = Callable[..., Verdict]


@pytest.mark.parametrize(
    ("on_dane", "override"),
    [(OnDANE.NOTFOUND, NOT_FOUND), (OnDANE.DANE_ONLY, DANE_ONLY), (OnDANE.OFF, STANDS)],
)
def test_proven_dane_is_answered_as_the_setting_says(
    on_dane: OnDANE, override: bytes | None, signed: Signed, check: Check
) -> None:
    signed.mx(MX)
    signed.tlsa(MX, USABLE)
    assert check(on_dane).override == override


def test_nothing_is_asked_when_dane_is_off(lab: Lab, signed: Signed, check: Check) -> None:
    signed.mx(MX)
    check(OnDANE.OFF)
    assert len(lab.queries) == 0


def test_a_verdict_holds_as_long_as_its_shortest_answer(signed: Signed, check: Check) -> None:
    signed.mx(MX, ttl=900)
    signed.tlsa(MX, USABLE, ttl=700)
    assert check() == Verdict(NOT_FOUND, 700, Finding.PROVEN)


@pytest.mark.parametrize(("published", "kept"), [(1, SHORTEST), (999_999, LONGEST)])
def test_a_ttl_is_kept_within_bounds(
    published: int, kept: int, signed: Signed, check: Check
) -> None:
    signed.mx(MX, ttl=published)
    signed.tlsa(MX, USABLE, ttl=published)
    assert check().ttl == kept


def test_one_proven_host_among_several_is_enough(signed: Signed, check: Check) -> None:
    signed.mx(ELSEWHERE, MX)
    signed.address(ELSEWHERE, proven=False)
    signed.tlsa(MX, USABLE)
    assert check().finding is Finding.PROVEN


def test_a_proven_host_counts_though_another_one_fails(signed: Signed, check: Check) -> None:
    signed.mx("mx1.example.test", MX)
    signed.at("_25._tcp.mx1.example.test", "TLSA", ServFail())
    signed.tlsa(MX, USABLE)
    assert check().finding is Finding.PROVEN


def test_an_mx_answer_that_is_not_proven_leaves_the_policy(
    lab: Lab, signed: Signed, check: Check
) -> None:
    signed.mx(MX, proven=False)
    signed.tlsa(MX, USABLE)
    assert check() == Verdict(STANDS, 300, Finding.UNPROVEN_MX)
    assert [query.type for query in lab.queries] == ["MX"]


def test_a_tlsa_answer_that_is_not_proven_leaves_the_policy(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.address(MX)
    signed.tlsa(MX, USABLE, proven=False)
    assert check() == Verdict(STANDS, 300, Finding.NO_TLSA)


@pytest.mark.parametrize("answer", [Absent(authenticated=True), NXDomain(), NXDomain(ttl=1)])
def test_a_host_without_tlsa_records_leaves_the_policy(
    answer: answers.Answer, signed: Signed, check: Check
) -> None:
    signed.mx(MX)
    signed.address(MX)
    signed.at(f"_25._tcp.{MX}", "TLSA", answer)
    assert check() == Verdict(STANDS, SHORTEST, Finding.NO_TLSA)


@pytest.mark.parametrize(
    "record",
    [f"2 0 1 {DIGEST}", f"2 1 2 {DIGEST * 2}", "3 0 0 3082", f"3 1 2 {DIGEST * 2}"],
)
def test_dane_ta_and_dane_ee_are_usable(record: str, signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.tlsa(MX, record)
    assert check().finding is Finding.PROVEN


@pytest.mark.parametrize(
    "record",
    [
        f"0 0 1 {DIGEST}",  # PKIX-TA
        f"1 1 1 {DIGEST}",  # PKIX-EE
        f"4 1 1 {DIGEST}",
        f"3 2 1 {DIGEST}",
        f"3 1 3 {DIGEST}",
    ],
)
def test_records_that_no_mail_server_can_use_leave_the_policy(
    record: str, signed: Signed, check: Check
) -> None:
    signed.mx(MX)
    signed.address(MX)
    signed.tlsa(MX, record)
    assert check().override is STANDS


def test_one_usable_record_among_others_is_enough(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.tlsa(MX, f"1 1 1 {DIGEST}", USABLE)
    assert check().finding is Finding.PROVEN


@pytest.mark.parametrize(
    "failure", [ServFail(), ServFail(ede=6), answers.Fails("REFUSED"), BrokenTLSA()]
)
@pytest.mark.parametrize(
    ("on_dane", "override"), [(OnDANE.NOTFOUND, NOT_FOUND), (OnDANE.DANE_ONLY, DANE_ONLY)]
)
def test_a_failing_tlsa_question_never_gives_secure(
    on_dane: OnDANE,
    override: bytes,
    failure: answers.Answer,
    signed: Signed,
    check: Check,
) -> None:
    signed.mx(MX)
    signed.address(MX)
    signed.at(f"_25._tcp.{MX}", "TLSA", failure)
    verdict = check(on_dane, timeout=BRIEF)
    assert verdict == Verdict(override, UNDECIDED_TTL, Finding.TLSA_FAILS)


def test_a_silent_nameserver_does_not_give_secure_either(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.address(MX)
    signed.at(f"_25._tcp.{MX}", "TLSA", Silence())
    assert check(timeout=BRIEF).finding is Finding.TLSA_FAILS


def test_a_proven_domain_that_then_falls_silent_does_not_give_secure(
    signed: Signed, check: Check
) -> None:
    signed.mx(MX)
    for name, rdtype in ((MX, "A"), (f"_25._tcp.{MX}", "TLSA")):
        signed.at(name, rdtype, Silence())
    assert check(timeout=BRIEF).finding is Finding.TLSA_FAILS


def test_a_failing_tlsa_question_in_an_unsigned_zone_leaves_the_policy(
    signed: Signed, check: Check
) -> None:
    signed.mx(ELSEWHERE)
    signed.address(ELSEWHERE, proven=False)
    signed.at(f"_25._tcp.{ELSEWHERE}", "TLSA", ServFail())
    assert check() == Verdict(STANDS, 300, Finding.NO_TLSA)


def test_a_failing_tlsa_question_in_another_signed_zone_does_not_give_secure(
    signed: Signed, check: Check
) -> None:
    signed.mx(ELSEWHERE)
    signed.address(ELSEWHERE)
    signed.at(f"_25._tcp.{ELSEWHERE}", "TLSA", ServFail())
    assert check().finding is Finding.TLSA_FAILS


def test_the_domains_own_zone_counts_as_signed_once_its_mx_is_proven(
    signed: Signed, check: Check
) -> None:
    signed.mx(MX)
    signed.address(MX, proven=False)
    signed.at(f"_25._tcp.{MX}", "TLSA", ServFail())
    assert check().finding is Finding.TLSA_FAILS


@pytest.mark.parametrize("failure", [ServFail(), ServFail(ede=6), Silence()])
def test_without_an_mx_answer_the_policy_stands_for_a_moment(
    failure: answers.Answer, signed: Signed, check: Check
) -> None:
    signed.at(NAME, "MX", failure)
    verdict = check(timeout=BRIEF)
    assert verdict == Verdict(STANDS, UNDECIDED_TTL, Finding.NO_MX_ANSWER)


def test_without_mx_records_the_domain_is_its_own_mail_host(signed: Signed, check: Check) -> None:
    signed.at(NAME, "MX", Absent(authenticated=True))
    signed.tlsa(NAME, USABLE)
    assert check().finding is Finding.PROVEN


def test_an_absence_of_mx_records_has_to_be_proven(signed: Signed, check: Check) -> None:
    signed.at(NAME, "MX", Absent())
    signed.tlsa(NAME, USABLE)
    assert check().finding is Finding.UNPROVEN_MX


@pytest.mark.parametrize(
    "answer", [Records("0 .", authenticated=True), NXDomain(authenticated=True)]
)
def test_a_domain_that_takes_no_mail_needs_no_more_questions(
    answer: answers.Answer, lab: Lab, signed: Signed, check: Check
) -> None:
    signed.at(NAME, "MX", answer)
    assert check().finding is Finding.NO_TLSA
    assert len(lab.queries) == 1


def test_an_alias_may_have_its_tlsa_records_at_its_target(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.at(MX, "A", CNAME(ELSEWHERE, authenticated=True))
    signed.address(ELSEWHERE)
    signed.tlsa(ELSEWHERE, USABLE)
    assert check().finding is Finding.PROVEN


def test_an_alias_may_have_its_tlsa_records_at_its_own_name(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.at(MX, "A", CNAME(ELSEWHERE, authenticated=True))
    signed.address(ELSEWHERE)
    signed.tlsa(MX, USABLE)
    assert check().finding is Finding.PROVEN


def test_an_alias_that_is_not_proven_leads_nowhere(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.at(MX, "A", CNAME(ELSEWHERE, authenticated=False))
    signed.address(ELSEWHERE)
    signed.tlsa(ELSEWHERE, USABLE)
    assert check().finding is Finding.NO_TLSA


def test_a_failing_target_of_an_alias_does_not_give_secure(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.at(MX, "A", CNAME(ELSEWHERE, authenticated=True))
    signed.address(ELSEWHERE)
    signed.at(f"_25._tcp.{ELSEWHERE}", "TLSA", ServFail())
    assert check().finding is Finding.TLSA_FAILS


def test_proven_tlsa_records_behind_an_alias_count(signed: Signed, check: Check) -> None:
    signed.mx(MX)
    signed.at(f"_25._tcp.{MX}", "TLSA", CNAME(f"_dane.{ELSEWHERE}", authenticated=True))
    signed.at(f"_dane.{ELSEWHERE}", "TLSA", Records(USABLE, authenticated=True))
    assert check().finding is Finding.PROVEN


def test_a_host_whose_name_has_no_room_for_tlsa_records_has_none(
    signed: Signed, check: Check
) -> None:
    long = ".".join(("m" * 62, "m" * 62, "m" * 62, "m" * 50, "example", "test"))
    signed.mx(long)
    signed.address(long)
    assert check().finding is Finding.NO_TLSA


def test_a_domain_cannot_name_hosts_without_end(lab: Lab, signed: Signed, check: Check) -> None:
    signed.mx(*(f"mx{number}.example.test" for number in range(MAX_HOSTS + 8)))
    check()
    assert sum(query.type == "TLSA" for query in lab.queries) == MAX_HOSTS


def test_a_system_resolver_on_another_machine_is_not_believed(
    lab: Lab, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.mx(MX)
    signed.tlsa(MX, USABLE)
    resolver = Resolver((lab.nameserver,))
    monkeypatch.setattr(Resolver, "is_trusted", False)
    verdict = DaneCheck(resolver, OnDANE.NOTFOUND).check(DOMAIN)
    assert verdict == Verdict(STANDS, LONGEST, Finding.UNTRUSTED)
    assert len(lab.queries) == 0


@pytest.mark.parametrize("on_dane", list(OnDANE))
def test_a_listed_domain_is_always_left_to_dane(on_dane: OnDANE, lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "dane-domains"
    path.write_text(f"{NAME}\n")
    judge = DaneCheck(Resolver((lab.nameserver,)), on_dane, DomainFile(path))
    assert judge.check(DOMAIN) == Verdict(NOT_FOUND, LONGEST, Finding.LISTED)
    assert judge.listed() == {NAME}
    assert len(lab.queries) == 0
