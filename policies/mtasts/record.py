"""The TXT record that says "this domain has a policy" (RFC 8461 section 3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.mtasts.errors import (
    MultipleRecordsError,
    NoRecordError,
    NotMTASTS,
    RecordSyntaxError,
)
from policies.mtasts.grammar import NAME, WSP, quoted, to_bytes

# The prose discards what does not begin "v=STSv1;", the grammar allows blanks before ";".
_BEGIN = re.compile(rb"v=STSv1[ \t]*;")
_ID = re.compile(rb"[A-Za-z0-9]{1,32}")
_VALUE = re.compile(rb"[!-:<>-~]+")


@dataclass(frozen=True, slots=True)
class Record:
    """A record as published. `id` is compared as a string, case and all; it has no order."""

    version: str
    id: str
    extensions: list[tuple[str, str]] = field(default_factory=list)


def parse_record(txt: str | bytes) -> Record:
    """The record in one TXT string, whose parts are joined already.

    The first of several fields of one name counts, whatever the later ones mean.
    Raises NotMTASTS where the string is about something else, else RecordSyntaxError.
    """
    data = to_bytes(txt)
    begin = _BEGIN.match(data)
    if begin is None:
        raise NotMTASTS(f"expected a record that begins 'v=STSv1;', found {quoted(data)}")
    values: dict[str, str] = {}
    for part in _fields(data[begin.end() :]):
        name, value = _name_and_value(part)
        if name == "id" and name not in values:
            _check_id(value)
        values.setdefault(name, value)
    if "id" not in values:
        raise RecordSyntaxError("the record has no id; expected 'id=' and 1 to 32 alphanumerics")
    extensions = [(name, value) for name, value in values.items() if name not in ("v", "id")]
    return Record("STSv1", values["id"], extensions)


def select_record(txts: Sequence[str | bytes]) -> Record:
    """The one MTA-STS record in a TXT answer.

    Records are counted before any is parsed: a broken one beside a good one makes two.
    Raises NoRecordError, MultipleRecordsError, RecordSyntaxError.
    """
    candidates = [txt for txt in txts if _BEGIN.match(to_bytes(txt))]
    if not candidates:
        raise NoRecordError("no TXT record begins 'v=STSv1;'")
    if len(candidates) > 1:
        raise MultipleRecordsError(
            f"{len(candidates)} TXT records begin 'v=STSv1;'; expected exactly one"
        )
    return parse_record(candidates[0])


def _fields(rest: bytes) -> list[bytes]:
    """The fields behind the first delimiter, `*WSP ";" *WSP`, without the blanks around it."""
    *fields, last = rest.split(b";")
    # What follows the last ";" is blank, or a field that no delimiter ends: a blank behind it
    # belongs to nothing.
    if last.strip(WSP):
        if last.endswith((b" ", b"\t")):
            raise RecordSyntaxError("the record ends in a blank; expected nothing or ';'")
        fields.append(last)
    return [part.strip(WSP) for part in fields]


def _name_and_value(part: bytes) -> tuple[str, str]:
    name, equals, value = part.partition(b"=")
    if not equals or not NAME.fullmatch(name):
        raise RecordSyntaxError(
            f"expected 'name=value' with a name of 1 to 32 letters, digits, '_', '-', '.',"
            f" found {quoted(part)}"
        )
    if not _VALUE.fullmatch(value):
        raise RecordSyntaxError(
            f"expected a value of printable ASCII without '=', ';' and blanks,"
            f" found {quoted(value)}"
        )
    return name.decode("ascii"), value.decode("ascii")


def _check_id(value: str) -> None:
    if not _ID.fullmatch(value.encode("ascii")):
        raise RecordSyntaxError(f"expected an id of 1 to 32 letters and digits, found {value!r}")
