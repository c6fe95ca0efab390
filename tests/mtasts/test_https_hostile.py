"""Answers of policy hosts that mean harm, or that two readers could take for two things.

A connection serves one fetch, and its body ends with TLS's word for it: what stands behind an
answer reaches nobody. So where HTTP leaves a choice, reading on is safe, and refusing would leave
mail unprotected.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from policies.mtasts.errors import MTASTSError
from policies.mtasts.transport import MAX_INTERIM
from policies.tlsrpt.failures import failure_details
from tests.mtasts.fetching import DOMAIN, NAME, POLICY, Raw, fetcher_of

if TYPE_CHECKING:
    from tests.lab.lab import Lab

BODY = POLICY.encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"%x\r\n%b\r\n" % (len(BODY), BODY)
LAST = b"0\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"

THE_POLICY = "the policy"
FETCH = "sts-policy-fetch-error: cannot-fetch-policy+"
MALFORMED = f"{FETCH}malformed-http-response"

LATE = 20.0
"""Seconds after which a fetch is not busy but held, on a machine however busy."""

ANSWERS = {
    "two lengths in two ways": (
        OK + b"Content-Length: 3\r\n" + CHUNKED + CHUNKS + LAST,
        THE_POLICY,
    ),
    "a second answer behind the first": (
        OK + LENGTH + BODY + OK + b"Content-Length: 4\r\n\r\nevil",
        THE_POLICY,
    ),
    "a blank before the colon": (OK + LENGTH.replace(b":", b" :") + BODY, THE_POLICY),
    "an encoding nobody knows": (OK + b"Transfer-Encoding: xchunked\r\n\r\n" + BODY, THE_POLICY),
    "lines that end in LF alone": ((OK + LENGTH).replace(b"\r\n", b"\n") + BODY, THE_POLICY),
    "a NUL in a header": (OK + b"X: a\0b\r\n" + LENGTH + BODY, THE_POLICY),
    "trailers without end": (
        OK + CHUNKED + CHUNKS + b"0\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        THE_POLICY,
    ),
    "chunks behind identity": (
        OK + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKS + LAST,
        "sts-policy-invalid: policy-syntax-error",
    ),
    "a flood of early hints": (
        EARLY_HINTS * 50_000,
        f"{FETCH}http-status-103",
    ),
    "early hints, and more of them than anybody sends": (
        EARLY_HINTS * (MAX_INTERIM + 1) + OK + LENGTH + BODY,
        f"{FETCH}http-status-103",
    ),
    "early hints that say how the body would be framed": (
        b"HTTP/1.1 103 Early Hints\r\n" + CHUNKED + OK + LENGTH + BODY,
        THE_POLICY,
    ),
    "early hints with a body": (
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nevil" + OK + LENGTH + BODY,
        MALFORMED,
    ),
    "early hints, and the end": (EARLY_HINTS, f"{FETCH}connection-closed"),
    "early hints with a hundred headers and more": (
        b"HTTP/1.1 103 Early Hints\r\n" + b"X-A: b\r\n" * 200 + b"\r\n" + OK + LENGTH + BODY,
        MALFORMED,
    ),
    "another protocol behind early hints": (
        EARLY_HINTS + b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + BODY,
        f"{FETCH}http-status-101",
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + BODY,
        f"{FETCH}http-status-101",
    ),
    "a hundred headers and more": (OK + b"X-A: b\r\n" * 99 + LENGTH + BODY, MALFORMED),
    "a flood of headers": (OK + b"X-A: b\r\n" * 20_000 + b"\r\n" + BODY, MALFORMED),
    "chunks of one octet": (
        OK + CHUNKED + b"1\r\nx\r\n" * 70_000 + LAST,
        f"{FETCH}policy-too-large",
    ),
    "a chunk larger than numbers go": (
        OK + CHUNKED + b"10000000000000000\r\nx",
        f"{FETCH}response-cut-short",
    ),
    "HTTP/0.9": (BODY, MALFORMED),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
    "a status of five digits": (b"HTTP/1.1 99999 OK\r\n\r\n", MALFORMED),
    "a reason of sixty kilobytes": (
        b"HTTP/1.1 200 " + b"x" * 60_000 + b"\r\n\r\n",
        "sts-policy-invalid: policy-syntax-error",
    ),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_read_or_refused_by_name(
    lab: Lab, answer: bytes, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    lab.domain(NAME, POLICY, behaviour=Raw(answer))
    began = time.monotonic()
    try:
        assert fetcher_of(lab).fetch(DOMAIN).text == POLICY
        came_of_it = THE_POLICY
    except MTASTSError as error:
        came_of_it = str(failure_details(error))
    assert came_of_it == expected
    assert time.monotonic() - began < LATE
    # What a stranger sends is no line of our log.
    assert [record.name for record in caplog.records if record.name.startswith("urllib3")] == []
