"""The parsers, each as a function of any bytes.

A target returns where the input was taken or refused by name, and holds what was taken to what the
parser promises. Any other exception is a finding. Inputs that once were one go into `SEEDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any

from django.http import HttpRequest, QueryDict

from mtastsweb import requestid, values
from mtastsweb.environment import OnDANE
from policies import (
    alert_listing,
    exception_listing,
    fetch_listing,
    listing,
    outcome_listing,
    paging,
    trouble,
)
from policies.api.parameters import MOST, Parameters
from policies.api.problems import Problem
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
from policies.mtasts.errors import (
    CertificateError,
    FetchError,
    MTASTSError,
    NoRecordError,
    RecordError,
)
from policies.mtasts.tls import _peer_certificate
from policies.socketmap.netstring import MAX_REQUEST, ProtocolError, Reader, encode
from policies.socketmap.reply import NOT_FOUND, reply
from policies.socketmap.request import Query, parse_request
from policies.tlsrpt import text as tlsrpt_text
from policies.tlsrpt.failures import FALLBACK, failure_details
from policies.tlsrpt.lines import policy_lines, received_lines
from policies.tlsrpt.report import Report, SessionFailure, Submitter, merge
from policies.tlsrpt.result import PolicyType, Result, ResultPolicy
from tests.socketmap.postfix_rules import Entry, Postfix, is_hostname, read_reply
from tests.tlsrpt import report_schema

Target = Callable[[bytes], None]

DAY = date(2026, 3, 1)
REASON = 64
"""Characters of a reason code."""


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


def report_json(data: bytes) -> None:
    """A report of what others said is one, as RFC 8460 section 4.4 and I-JSON have it."""
    said = as_text(data)
    parts = said.split("\n")
    errors: list[MTASTSError] = [
        NoRecordError("none"),
        FetchError(said, reason=tlsrpt_text.code(parts[0], REASON)),
        CertificateError(said, reason=tlsrpt_text.code(parts[-1], REASON)),
    ]
    failures = [failure_details(error) for error in errors]
    failures.append(failures[1].with_suffix(FALLBACK))
    sessions = SessionFailure(
        "validation-failure",
        tlsrpt_text.code(parts[0], REASON),
        additional_information=tlsrpt_text.line(said),
        sending_mta_ip=said,
        receiving_ip=parts[-1],
        receiving_mx_hostname=tlsrpt_text.code(parts[0], 255),
        receiving_mx_helo=tlsrpt_text.code(said, 255),
    )
    try:
        name = parse_domain(parts[0]).ascii
    except DomainNameError:
        name = "example.org"
    try:
        found = parse_policy(data)
        kind, served = PolicyType.STS, policy_lines(data.decode())
        mx = tuple(map(str, found.mx))
    except PolicySyntaxError:
        kind, served, mx = PolicyType.NO_POLICY_FOUND, received_lines(said), ()
    results = [
        Result(ResultPolicy(kind, name, served, mx), (failure, sessions), len(data), 1)
        for failure in failures
    ]
    report = Report(Submitter("Mail", "postmaster@mail.example", "mail.example"), DAY, name)
    read = report_schema.read("".join(report.chunks(merge(results))))
    (policy_told,) = read["policies"]
    assert policy_told["summary"]["total-successful-session-count"] == len(data) * len(failures)
    assert tuple(policy_told["policy"]["policy-string"]) == served
    told = sum(each["failed-session-count"] for each in policy_told["failure-details"])
    assert told == 2 * len(failures)


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
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    after = query.get("after", "")
    fetches = fetch_listing.Filters.read(query)
    assert fetch_listing.Filters.read(again(fetches.query())) == fetches
    fetches.lists(now)
    paging.Place.read(after)
    outcomes = outcome_listing.Filters.read(query)
    assert outcome_listing.Filters.read(again(outcomes.query())) == outcomes
    outcome_listing.rows(outcomes, now.date())
    outcome_listing.read_cursor(after)
    alerts = alert_listing.Filters.read(query)
    assert alert_listing.Filters.read(again(alerts.query())) == alerts
    alerts.lists()
    exceptions = exception_listing.Filters.read(query)
    assert exception_listing.Filters.read(again(exceptions.query(exceptions.page))) == exceptions
    if rank := trouble.read_cursor(after):
        trouble.after([], rank)
    row = listing.row_number(query.get("before", ""))
    assert row is None or 0 <= row < 2**63


def again(address: str) -> QueryDict:
    return QueryDict(address.removeprefix("?"))


def api_query(data: bytes) -> None:
    """What the feed does not know it refuses by name; what it links to it takes."""
    request = HttpRequest()
    request.GET = QueryDict(data.decode("latin-1"))
    try:
        asked = Parameters(request, ("mode", "q"))
        mode = asked.choice("mode", ("enforce", "testing"))
        assert mode in ("", "enforce", "testing")
        assert 1 <= asked.limit <= MOST
        row = listing.row_number(asked.place("after", is_ours=True))
        link = asked.link(after=str(row)) if row is not None else None
    except Problem:
        return
    if link:
        request.GET = QueryDict(link.partition("?")[2])
        follow = Parameters(request, ("mode", "q"))
        assert follow.place("after", is_ours=True) == str(row)
        assert follow.limit == asked.limit


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
        nameserver, certificate_names, report_text, report_json, environment_value, request_id,
        query_string, api_query, moving_in,
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
