"""Whatever a policy host answers, a fetch ends in a policy or a named error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")
pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policies.mtasts.errors import FetchError, PolicySyntaxError
from tests.mtasts.fetching import DOMAIN, NAME, POLICY, Raw, fetcher_of

if TYPE_CHECKING:
    from tests.lab.lab import Lab

LINES = st.sampled_from(
    [
        b"Content-Type: text/plain",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 5, 5",
        b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Encoding: identity",
        b" folded",
        b"no colon",
        b": no name",
        b"Set-Cookie: a=b; Domain=.test",
        b"Location: https://[::1/",
        b"\x00: \xff",
    ]
)
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 100 Continue", b"HTTP/9 200", b"HTTP/1.1 20"]
)
CHUNKS = st.sampled_from(
    [b"5\r\nhello\r\n", b"0\r\n\r\n", b"-5\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"0x5\r\n"]
)
BODIES = st.one_of(
    st.binary(max_size=200), st.lists(CHUNKS, max_size=4).map(b"".join), st.just(POLICY.encode())
)


@given(
    status=st.one_of(STATUS_LINES, st.binary(max_size=20)),
    lines=st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=4),
    body=BODIES,
    close_notify=st.booleans(),
)
@example(
    status=b"HTTP/1.1 200 OK",
    lines=[b"Transfer-Encoding: chunked"],
    body=b"-5\r\nhello",
    close_notify=True,
)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_answer_is_unexpected(
    lab: Lab, status: bytes, lines: list[bytes], body: bytes, close_notify: bool
) -> None:
    data = b"\r\n".join([status, *lines, b"", body])
    lab.domain(NAME, POLICY, behaviour=Raw(data, close_notify))
    try:
        fetched = fetcher_of(lab).fetch(DOMAIN)
    except (FetchError, PolicySyntaxError):
        return
    assert fetched.text == POLICY
