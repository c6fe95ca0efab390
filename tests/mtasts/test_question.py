"""What goes to a nameserver, and which datagrams are taken for its answer."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.mtasts.question import Question

LABELS = st.from_regex(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,20}[a-zA-Z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=8).map(".".join)


def response(question: Question, *, name: str | None = None, flags: str = "QR") -> bytes:
    reply = dns.message.make_response(dns.message.from_wire(question.wire))
    if name is not None:
        reply.question[0].name = dns.name.from_text(name)
    reply.flags = dns.flags.from_text(flags)
    return reply.to_wire()


@given(NAMES, st.sampled_from(["TXT", "A", "AAAA", "MX", "TLSA"]))
def test_dnspython_reads_the_question_as_it_was_meant(name: str, rdtype: str) -> None:
    asked = dns.message.from_wire(Question(name, rdtype).wire)
    expected = dns.message.make_query(name, rdtype, use_edns=0, payload=1232)
    expected.flags = dns.flags.RD | dns.flags.AD
    assert asked.question == expected.question
    assert (asked.flags, asked.edns, asked.payload) == (expected.flags, 0, 1232)


@given(NAMES)
def test_its_own_response_answers_it_whatever_the_case(name: str) -> None:
    question = Question(name, "TXT")
    assert question.is_answered_by(response(question))
    assert question.is_answered_by(response(question, name=name.upper()))


def test_the_root_has_no_labels() -> None:
    assert dns.message.from_wire(Question("", "SOA").wire).question[0].name == dns.name.root


def test_ids_differ() -> None:
    assert len({Question("example.org", "TXT").wire[:2] for _ in range(100)}) > 50


@pytest.mark.parametrize("flags", ["", "RD"])
def test_a_question_is_no_answer(flags: str) -> None:
    question = Question("example.org", "TXT")
    assert not question.is_answered_by(response(question, flags=flags))


def test_another_name_type_or_id_is_no_answer() -> None:
    question = Question("example.org", "TXT")
    reply = response(question)
    assert not question.is_answered_by(response(question, name="example.com"))
    assert not question.is_answered_by(bytes([reply[0] ^ 1]) + reply[1:])
    other = bytearray(reply)
    other[12 + len(b"\x07example\x03org\x00") + 1] ^= 1
    assert not question.is_answered_by(bytes(other))


@pytest.mark.parametrize(
    ("rcode", "is_answer"), [("SERVFAIL", True), ("REFUSED", True), ("NOERROR", False)]
)
def test_only_an_error_may_come_without_the_question(rcode: str, is_answer: bool) -> None:
    question = Question("example.org", "TXT")
    reply = dns.message.from_wire(response(question))
    reply.question.clear()
    reply.set_rcode(dns.rcode.from_text(rcode))
    assert question.is_answered_by(reply.to_wire()) is is_answer


@given(st.binary(max_size=100))
def test_no_bytes_break_it(received: bytes) -> None:
    question = Question("example.org", "TXT")
    assert question.is_answered_by(received) in {True, False}
    question.is_answered_by(question.wire[:2] + received)


@pytest.mark.parametrize(
    "name", [".", "a..b", "a." + "b" * 64, ".".join(["a" * 60] * 5), "ä.example"]
)
def test_what_is_no_name_in_dns_is_not_asked(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Question(name, "TXT")
