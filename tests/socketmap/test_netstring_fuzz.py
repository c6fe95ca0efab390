import pytest

pytest.importorskip("hypothesis")

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.socketmap.netstring import (
    MAX_REQUEST,
    ProtocolError,
    Reader,
    encode,
)

fuzz = settings(max_examples=150, deadline=None, database=None)

PAYLOADS = st.lists(st.binary(max_size=40), max_size=6)
CUTS = st.lists(st.integers(0, 400), max_size=12)
# Frames, and what is nearly one.
STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=20).map(encode),
        st.text("0123456789:,a +-", max_size=8).map(str.encode),
        st.binary(max_size=8),
        st.just(encode(b"x" * MAX_REQUEST)),
    ),
    max_size=6,
).map(b"".join)


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(position, len(stream)) for position in at), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def read(reads: list[bytes]) -> tuple[list[bytes], bool, int]:
    """Requests, whether the stream was refused, and the most that was held back."""
    reader = Reader()
    requests: list[bytes] = []
    most = 0
    try:
        for data in reads:
            for request in reader.feed(data):
                requests.append(request)  # noqa: PERF402  those before the error count
            most = max(most, reader.pending)
    except ProtocolError:
        return requests, True, most
    return requests, False, most


@fuzz
@given(PAYLOADS, CUTS)
def test_requests_survive_any_cutting(payloads: list[bytes], at: list[int]) -> None:
    stream = b"".join(map(encode, payloads))
    assert read(cut(stream, at))[:2] == (payloads, False)
    assert read([stream]) == (payloads, False, 0)


@fuzz
@given(STREAMS, CUTS)
def test_any_stream_gives_the_same_whole_cut_and_byte_by_byte(stream: bytes, at: list[int]) -> None:
    whole = read([stream])
    head = stream[:400]
    assert read(cut(stream, at))[:2] == whole[:2]
    assert read([head[i : i + 1] for i in range(len(head))])[:2] == read([head])[:2]
    assert whole[2] < len(encode(b"x" * MAX_REQUEST))


@fuzz
@given(STREAMS)
def test_what_was_read_encodes_to_the_beginning_of_the_stream(stream: bytes) -> None:
    requests, refused, _ = read([stream])
    again = b"".join(map(encode, requests))
    assert stream.startswith(again)
    rest = stream[len(again) :]
    assert refused or not rest or read([rest])[0] == []


@fuzz
@given(PAYLOADS, STREAMS)
def test_what_comes_behind_changes_no_request_before_it(
    payloads: list[bytes], behind: bytes
) -> None:
    stream = b"".join(map(encode, payloads))
    assert read([stream + behind])[0][: len(payloads)] == payloads
