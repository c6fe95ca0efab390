"""The parsers, each as a function of any bytes.

A target returns where the input was taken or refused by name, and holds what was taken to what the
parser promises. Any other exception is a finding. Inputs that once were one go into `SEEDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from django.http import QueryDict

from mtastsweb import requestid, values
from mtastsweb.environment import OnDANE
from policies import fetch_listing, listing, outcome_listing
from policies.moving import lists
from policies.moving.found import Bad, Found, Unreadable
from policies.mtasts import (
    DomainNameError,
    PolicySyntaxError,
    parse_domain,
    parse_mx,
    parse_policy,
    parse_record,
    select_record,
)
from policies.mtasts.addresses import is_allowed
from policies.mtasts.dns import Resolver
from policies.mtasts.errors import MTASTSError, RecordError
from policies.mtasts.tls import _peer_certificate
from policies.socketmap.netstring import MAX_REQUEST, ProtocolError, Reader, encode
from policies.socketmap.reply import NOT_FOUND, reply
from policies.socketmap.request import Query, parse_request
from policies.tlsrpt import text as tlsrpt_text
from tests.socketmap.postfix_rules import Entry, Postfix, is_hostname, read_reply

Target = Callable[[bytes], None]


def as_text(data: bytes) -> str:
    """Any text; what is no UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def record(data: bytes) -> None:
    try:
        found = parse_record(data)
    except RecordError:
        return
    assert re.fullmatch("[A-Za-z0-9]{1,32}", found.id)


def txt_answer(data: bytes) -> None:
    try:
        select_record(list(data.split(b"\n")))
    except RecordError:
        return


def policy(data: bytes) -> None:
    try:
        found = parse_policy(data)
    except PolicySyntaxError as error:
        line = error.line
    else:
        assert parse_policy(str(found)) == found
        assert 0 <= found.max_age <= 31557600
        return
    assert 1 <= line <= data.count(b"\n") + 1


def postfix_reply(data: bytes) -> None:
    """What Postfix reads from the reply is the policy's, whatever the text says beside it."""
    served = b"version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 9\n" + data
    try:
        found = parse_policy(served)
    except PolicySyntaxError:
        return
    domain = parse_domain("example.com")
    for edited in (False, True):
        payload = reply(found, domain, tlsrpt=True, policy_text=served.decode(), edited=edited)
        entry = read_reply(payload, Postfix.V3_10)
        assert not payload.startswith(b"OK ") or isinstance(entry, Entry)
        if isinstance(entry, Entry):
            assert entry.level == b"secure"
            allowed = {b"servername", b"policy_type", b"policy_domain"}
            assert {name for name, _ in entry.single} <= allowed
            patterns = {str(pattern).removeprefix("*.").encode() for pattern in found.mx}
            assert {match.name for match in entry.match} <= patterns


def domain(data: bytes) -> None:
    try:
        name = parse_domain(as_text(data))
    except DomainNameError:
        return
    assert parse_domain(name.ascii) == parse_domain(name.unicode) == name
    assert re.fullmatch(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", name.ascii)


def mx_pattern(data: bytes) -> None:
    try:
        pattern = parse_mx(as_text(data))
    except (ValueError, MTASTSError):
        return
    assert str(pattern) == str(pattern).lower()


def netstring(data: bytes) -> None:
    reader = Reader()
    try:
        requests = [*reader.feed(data[:9]), *reader.feed(data[9:])]
    except ProtocolError:
        return
    assert data.startswith(b"".join(map(encode, requests)))
    assert reader.pending <= MAX_REQUEST + 8


def request(data: bytes) -> None:
    parsed = parse_request(data)
    if isinstance(parsed, Query):
        assert is_hostname(parsed.domain.ascii.encode())
    else:
        assert parsed == NOT_FOUND or parsed.startswith((b"PERM ", b"NOTFOUND "))


def address(data: bytes) -> None:
    assert is_allowed(as_text(data), allow_private=False) in (True, False)


def nameserver(data: bytes) -> None:
    try:
        Resolver((as_text(data),))
    except ValueError:
        return


def certificate_names(data: bytes) -> None:
    """What `getpeercert` gives: names are any text, and other kinds of names stand between."""
    parts = as_text(data).split("\n")
    kinds = ("DNS", "IP Address", "URI", "DirName", "othername")
    names = [(kinds[at % len(kinds)], part) for at, part in enumerate(parts)]
    fields = {
        "issuer": tuple(((("commonName", part),)) for part in parts),
        "subjectAltName": tuple(names),
        "notBefore": "Jan  1 00:00:00 2026 GMT",
        "notAfter": "Jan  1 00:00:00 2027 GMT",
    }
    found = _peer_certificate(fields)
    assert found.names == tuple(name for kind, name in names if kind == "DNS")


def report_text(data: bytes) -> None:
    """What others said, on its way into a TLS report."""
    said = as_text(data)
    assert len(tlsrpt_text.code(said, 64)) <= 64
    assert "\n" not in tlsrpt_text.line(said)


def environment_value(data: bytes) -> None:
    parsers: Iterable[Callable[[str], Any]] = (
        values.allowed_host, values.boolean, values.database_url, values.host_name,
        values.listen_address, values.mailbox, values.nameserver, values.origin,
        values.proxy_url, values.seconds(0.1, 600), values.tcp_address, values.text,
        values.whole_number(1, 10), values.one_of(OnDANE), values.many(values.tcp_address),
    )  # fmt: skip
    for parse in parsers:
        try:
            parse(as_text(data))
        except ValueError:
            continue


def request_id(data: bytes) -> None:
    given = as_text(data)
    kept = requestid.accepted(given)
    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{7,63}", kept)


def query_string(data: bytes) -> None:
    """Of every list. `QueryDict` is Django's; what is made of it is ours."""
    query = QueryDict(data.decode("latin-1"))
    filters = listing.Filters.read(query)
    listing.Filters.read(QueryDict(filters.query().removeprefix("?")))
    for sort in listing.SORTS.values():
        listing.Cursor.read(query.get("after", ""), sort)
    fetch_listing.Filters.read(query)
    outcome_listing.Filters.read(query)


def moving_in(data: bytes) -> None:
    """Lists, dumps and logs of other programs."""
    lines = as_text(data).splitlines()
    for read in (lists.domain_list, lists.tlspol_dump, lists.postfix_log):
        try:
            found = list(read(lines))
        except Unreadable:
            continue
        assert all(isinstance(each, (Found, Bad)) for each in found)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        record, txt_answer, policy, postfix_reply, domain, mx_pattern, netstring, request, address,
        nameserver, certificate_names, report_text, environment_value, request_id, query_string,
        moving_in,
    )
}  # fmt: skip

SEEDS = (
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"v=STSv1; id=1;", b"v=STSv1;id=1;a=b;",
    b"version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 86400\r\n",
    b"mx: {\nx: } match=evil.example { policy_string = ", b"x: secure match=a\n",
    b"13:postfix a.test,",
    b"0:,", b"00:,", b"9999999999:", b"postfix example.org:25", b"postfix .org", b"xn--zca.example",
    "bücher.example".encode(), "b。c".encode(), b"xn--99999999", b"*.*.example", b"127.0.0.1",
    b"::ffff:127.0.0.1", b"fe80::1%eth0", b"[::1]:53", b"q=%00&after=e30&sort=domain&page=-1",
    b"after=WyIiLCAiIl0", b"since=9&day=0001-01-01", b"example.org 3 secure match=x",
    b"Mar  1 12:00:00 mx postfix/smtp[1]: A1: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25",
)  # fmt: skip
"""To begin with: one of each grammar, and what once was trouble."""
