"""What holds for every record, policy and name: the grammar generates, the parsers answer."""

from __future__ import annotations

import re
import string

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policies.mtasts import (
    DomainNameError,
    Mode,
    MultipleRecordsError,
    NoRecordError,
    NotMTASTS,
    Policy,
    PolicySyntaxError,
    Record,
    RecordSyntaxError,
    parse_domain,
    parse_mx,
    parse_policy,
    parse_record,
    select_record,
)

# A busy machine is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ALNUM = string.ascii_letters + string.digits
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

blanks = st.text(" \t", max_size=3)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", fullmatch=True)


def pick_first(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first pair of each name, in order."""
    names = [name for name, _ in pairs]
    return [pair for place, pair in enumerate(pairs) if names.index(pair[0]) == place]


# Records

ids = st.text(ALNUM, min_size=1, max_size=32)
record_values = st.text(sorted(set(PRINTABLE) - set("=;")), min_size=1, max_size=40)
record_extensions = st.lists(
    st.tuples(names.filter(lambda name: name not in ("v", "id")), record_values), max_size=6
)


@unhurried
@given(id_=ids, extensions=record_extensions, data=st.data())
def test_every_record_of_the_grammar_is_read(
    id_: str, extensions: list[tuple[str, str]], data: st.DataObject
) -> None:
    fields = [*extensions]
    fields.insert(data.draw(st.integers(0, len(fields))), ("id", id_))
    txt = "v=STSv1"
    for name, value in fields:
        txt += data.draw(blanks) + ";" + data.draw(blanks) + f"{name}={value}"
    if data.draw(st.booleans()):
        txt += data.draw(blanks) + ";" + data.draw(blanks)

    record = parse_record(txt)
    assert record == Record("STSv1", id_, pick_first(extensions))
    assert select_record([b"\xff", txt]) == record


hostile = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200),
    st.text("v=STS1;id \t\r\n:*.max_agemodeversionenforce\u00a0\ud800é", max_size=60),
)


@unhurried
@given(hostile, st.booleans())
def test_a_record_is_read_or_refused_by_name(junk: str | bytes, candidate: bool) -> None:
    if candidate:
        junk = "v=STSv1;" + junk if isinstance(junk, str) else b"v=STSv1;" + junk
    try:
        record = parse_record(junk)
    except (NotMTASTS, RecordSyntaxError):
        return
    assert re.fullmatch("[A-Za-z0-9]{1,32}", record.id)
    rendered = "; ".join(["v=STSv1", f"id={record.id}", *map("=".join, record.extensions)])
    assert parse_record(rendered) == record


@unhurried
@given(st.lists(hostile, max_size=4))
def test_a_txt_answer_is_read_or_refused_by_name(txts: list[str | bytes]) -> None:
    try:
        assert isinstance(select_record(txts), Record)
    except (NoRecordError, MultipleRecordsError, RecordSyntaxError):
        return


# Policies

labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)
patterns = st.tuples(st.sampled_from(["", "*."]), hosts).map("".join)
vchars = st.characters(
    codec="utf-8", exclude_characters=[chr(code) for code in (*range(0x21), 0x7F)]
)
policy_values = st.text(st.one_of(vchars, st.just(" ")), min_size=1, max_size=30).filter(
    lambda value: value == value.strip(" ")
)
policy_extensions = st.lists(
    st.tuples(
        names.filter(lambda name: name not in ("version", "mode", "mx", "max_age")), policy_values
    ),
    max_size=4,
)
max_ages = st.integers(0, 9_999_999_999)


@unhurried
@given(
    mode=st.sampled_from(Mode),
    mx=st.lists(patterns, min_size=1, max_size=4),
    max_age=max_ages,
    extensions=policy_extensions,
    data=st.data(),
)
def test_every_policy_of_the_grammar_is_read_and_renders_back(
    mode: Mode, mx: list[str], max_age: int, extensions: list[tuple[str, str]], data: st.DataObject
) -> None:
    kinds: list[list[tuple[str, str]]] = [
        [("version", "STSv1"), *data.draw(repeats("version"))],
        [("mode", str(mode)), *data.draw(repeats("mode"))],
        [("max_age", str(max_age)), *data.draw(repeats("max_age"))],
        [("mx", pattern) for pattern in mx],
        extensions,
    ]
    # Any interleaving that keeps the order within a kind.
    order = data.draw(st.permutations([i for i, kind in enumerate(kinds) for _ in kind]))
    queues = [iter(kind) for kind in kinds]
    text = ""
    for index in order:
        name, value = next(queues[index])
        text += f"{name}:{data.draw(blanks)}{value}{data.draw(blanks)}"
        text += data.draw(st.sampled_from(["\n", "\r\n"]))
    if data.draw(st.booleans()):
        text = text.removesuffix("\n").removesuffix("\r")

    policy = parse_policy(text)
    assert policy == Policy(
        version="STSv1",
        mode=mode,
        mx=[parse_mx(pattern) for pattern in mx],
        max_age=min(max_age, 31557600),
        extensions=pick_first(extensions),
    )
    assert policy == parse_policy(text.encode()) == parse_policy(str(policy))


def repeats(name: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.lists(st.tuples(st.just(name), policy_values), max_size=2)


@unhurried
@given(hostile, st.sampled_from(["", "mode: none\nmax_age: 1\nversion: STSv1\n", "mx: "]))
def test_a_policy_is_read_or_refused_at_one_of_its_lines(junk: str | bytes, before: str) -> None:
    text = before + junk if isinstance(junk, str) else before.encode() + junk
    policy, line = read_or_refuse(text)
    if policy is None:
        line_ends = text.count("\n") if isinstance(text, str) else text.count(b"\n")
        assert 1 <= line <= line_ends + 1
    else:
        assert parse_policy(str(policy)) == policy


def read_or_refuse(text: str | bytes) -> tuple[Policy | None, int]:
    try:
        return parse_policy(text), 0
    except PolicySyntaxError as error:
        return None, error.line


# Names

any_host = st.one_of(
    st.text(max_size=300), hosts, st.text("aéß.-_*。xn12٣\u200d\u00adא", max_size=80)
)


@unhurried
@given(any_host)
@example("xn--" + "9" * 59)
@example("a.\udfff")
def test_matching_never_raises_and_never_takes_what_is_no_name(host: str) -> None:
    policy = Policy("STSv1", Mode.ENFORCE, [parse_mx("*.example.net"), parse_mx("a")], 1)
    matched = policy.matches(f"{host}.example.net")
    if matched:
        assert re.fullmatch(r"[^.*\s\x00-\x1f\x7f]+", host)
    assert policy.matches(host) in (True, False)


@unhurried
@given(any_host)
@example("xn--" + "z" * 59)
def test_a_domain_reads_the_same_from_each_of_its_forms(name: str) -> None:
    try:
        domain = parse_domain(name)
    except DomainNameError:
        return
    assert parse_domain(domain.ascii) == parse_domain(domain.unicode + ".") == domain
    assert re.fullmatch(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", domain.ascii)
    assert len(domain.ascii) <= 253


@unhurried
@given(st.from_regex(r"xn--[a-z0-9-]{0,58}[a-z0-9]", fullmatch=True))
def test_every_encoded_label_is_a_name_whether_it_decodes_or_not(label: str) -> None:
    domain = parse_domain(f"{label}.example")
    assert domain.ascii == f"{label}.example"
    assert parse_domain(domain.unicode) == domain
