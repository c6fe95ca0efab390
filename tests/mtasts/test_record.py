"""The TXT record: what the conformance set does not say of it."""

from __future__ import annotations

import dataclasses
import time

import pytest

from policies.mtasts import (
    MTASTSError,
    MultipleRecordsError,
    NoRecordError,
    NotMTASTS,
    Record,
    RecordSyntaxError,
    parse_record,
    select_record,
)


def test_a_record_cannot_be_changed() -> None:
    record = parse_record("v=STSv1; id=1; a=b")
    assert record == Record("STSv1", "1", [("a", "b")])
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.id = "2"  # type: ignore[misc]  # that this is refused is the test


@pytest.mark.parametrize(
    ("txt", "problem"),
    [
        ("v=STSv1;", "the record has no id"),
        ("v=STSv1; id=1 ", "ends in a blank"),
        ("v=STSv1; id=1;;", "expected 'name=value'"),
        ("v=STSv1; id=a-b", "1 to 32 letters and digits, found 'a-b'"),
        ("v=STSv1; id=1; a=b c", "printable ASCII"),
        (b"v=STSv1; id=\xff", r"found '\\xff'"),
    ],
)
def test_the_message_says_what_is_wrong(txt: str | bytes, problem: str) -> None:
    with pytest.raises(RecordSyntaxError) as caught:
        parse_record(txt)
    assert problem in str(caught.value)


def test_messages_stay_short_and_printable_whatever_a_stranger_publishes() -> None:
    with pytest.raises(NotMTASTS) as foreign:
        parse_record("\x1b[31m" + "x" * 60_000)
    with pytest.raises(RecordSyntaxError) as broken:
        parse_record("v=STSv1; id=1; \x1b\x00=" + "x" * 60_000)
    for error in (foreign.value, broken.value):
        assert len(str(error)) < 300
        assert str(error).isprintable()


def test_an_answer_without_ttl_has_none_to_tell() -> None:
    with pytest.raises(NoRecordError) as none:
        select_record([])
    with pytest.raises(MultipleRecordsError, match="2 TXT records begin") as several:
        select_record(["v=STSv1; id=1", "v=STSv1; id=2"])
    assert none.value.ttl == several.value.ttl == 0


@pytest.mark.parametrize(
    "txt",
    [
        "v=STSv1" + " " * 1_000_000,
        "v=STSv1;" + " " * 1_000_000,
        "v=STSv1;" + ";" * 1_000_000,
        "v=STSv1; id=1" + " ;" * 500_000,
        "v=STSv1; id=" + "a" * 1_000_000,
        "v=STSv1; id=1; a=" + "b" * 1_000_000 + " ",
        "v=STSv1; id=1; " + "a" * 1_000_000,
        "v=STSv1; id=1; " + "".join(f"a{n}=b;" for n in range(100_000)) + "!",
        "v=STSv1; id=1; " + "=" * 1_000_000,
    ],
    ids=lambda txt: txt[:24] + "…" + txt[-4:],
)
def test_a_megabyte_of_malice_is_refused_in_linear_time(txt: str) -> None:
    started = time.process_time()
    with pytest.raises(MTASTSError):
        parse_record(txt)
    assert time.process_time() - started < 2
