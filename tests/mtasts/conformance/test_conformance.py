"""The verdicts of `records` and `policies`, held against the parsers."""

from __future__ import annotations

import pytest

from policies.mtasts import (
    MTASTSError,
    NoRecordError,
    NotMTASTS,
    Policy,
    PolicySyntaxError,
    Record,
    RecordSyntaxError,
    parse_policy,
    parse_record,
    select_record,
)
from policies.mtasts.policy import Mode
from tests.mtasts.conformance import policies, records
from tests.mtasts.conformance.records import Text


def both_forms(text: Text) -> list[Text]:
    """The text and its octets, where it has both: each must get the same verdict."""
    if isinstance(text, str):
        return [text, text.encode("utf-8", "surrogatepass")]
    return [text]


@pytest.mark.parametrize("case", records.GOOD, ids=lambda case: case.why)
def test_a_record_of_the_grammar_is_read(case: records.Good) -> None:
    expected = Record("STSv1", case.id, case.extensions)
    for txt in both_forms(case.txt):
        assert parse_record(txt) == expected
        assert select_record(["v=spf1 -all", txt, b"\xff"]) == expected


@pytest.mark.parametrize("case", records.FOREIGN, ids=lambda case: case.why)
def test_a_string_about_something_else_is_discarded(case: records.Refused) -> None:
    for txt in both_forms(case.txt):
        with pytest.raises(NotMTASTS):
            parse_record(txt)
        with pytest.raises(NoRecordError):
            select_record([txt])
        assert select_record([txt, records.STS]).id == "1"


@pytest.mark.parametrize("case", records.BROKEN, ids=lambda case: case.why)
def test_a_broken_record_is_refused(case: records.Refused) -> None:
    for txt in both_forms(case.txt):
        with pytest.raises(RecordSyntaxError):
            parse_record(txt)
        with pytest.raises(RecordSyntaxError):
            select_record([b"v=spf1 -all", txt])


@pytest.mark.parametrize(("txts", "expected", "why"), records.ANSWERS)
def test_a_txt_answer_is_counted_first_and_parsed_then(
    txts: list[Text], expected: str | type[MTASTSError], why: str
) -> None:
    if isinstance(expected, str):
        assert select_record(txts).id == expected, why
        return
    with pytest.raises(expected):
        select_record(txts)


@pytest.mark.parametrize("case", policies.GOOD, ids=lambda case: case.why)
def test_a_policy_of_the_grammar_is_read(case: policies.Good) -> None:
    for text in both_forms(case.text):
        policy = parse_policy(text)
        assert policy.version == "STSv1"
        assert policy.mode is Mode(case.mode)
        assert [str(pattern) for pattern in policy.mx] == list(case.mx)
        assert policy.max_age == case.max_age
        assert policy.extensions == list(case.extensions)
        assert parse_policy(str(policy)) == policy
        assert isinstance(policy, Policy)


@pytest.mark.parametrize("case", policies.BAD, ids=lambda case: case.why)
def test_a_broken_policy_is_refused_at_its_line(case: policies.Bad) -> None:
    for text in both_forms(case.text):
        with pytest.raises(PolicySyntaxError) as caught:
            parse_policy(text)
        assert caught.value.line == case.line
        assert "expected" in caught.value.problem


def test_the_set_is_as_large_as_it_claims() -> None:
    assert len(records.GOOD + records.FOREIGN + records.BROKEN) + len(records.ANSWERS) >= 200
    assert len(policies.GOOD) + len(policies.BAD) >= 300
