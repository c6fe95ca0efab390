import pytest

from policies.socketmap.netstring import MAX_REQUEST, ProtocolError, Reader, encode


def read(*reads: bytes) -> tuple[list[bytes], Reader]:
    reader = Reader()
    return [request for data in reads for request in reader.feed(data)], reader


def read_until_error(*reads: bytes) -> tuple[list[bytes], ProtocolError | None]:
    """The requests that a reader hands out, and what it raises in the end."""
    reader = Reader()
    requests = []
    try:
        for data in reads:
            for request in reader.feed(data):
                requests.append(request)  # noqa: PERF402  those before the error count
    except ProtocolError as error:
        return requests, error
    return requests, None


@pytest.mark.parametrize("payload", [b"", b"NOTFOUND ", b"5:a,b:,", bytes(range(256))])
def test_a_netstring_reads_back_as_what_was_encoded(payload: bytes) -> None:
    assert read(encode(payload))[0] == [payload]


def test_encode_writes_length_colon_bytes_comma() -> None:
    assert encode(b"NOTFOUND ") == b"9:NOTFOUND ,"


STREAM = b"".join(map(encode, [b"postfix a.example", b"", b"postfix-tlsrpt b.example", b"x" * 200]))
REQUESTS = [b"postfix a.example", b"", b"postfix-tlsrpt b.example", b"x" * 200]


def test_requests_that_come_at_once_are_all_read() -> None:
    assert read(STREAM)[0] == REQUESTS


def test_requests_that_come_byte_by_byte_are_all_read() -> None:
    assert read(*(STREAM[i : i + 1] for i in range(len(STREAM))))[0] == REQUESTS


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_it_does_not_matter_where_the_network_cuts(cut: int) -> None:
    requests, reader = read(STREAM[:cut], STREAM[cut:])
    assert requests == REQUESTS
    assert reader.pending == 0


def test_an_empty_read_completes_nothing() -> None:
    assert read(b"", b"4:ab", b"")[0] == []


def test_pending_counts_the_bytes_of_the_unfinished_request_alone() -> None:
    requests, reader = read(b"1:a,1:b,4:ab")
    assert requests == [b"a", b"b"]
    assert reader.pending == len(b"4:ab")


def test_the_longest_request_passes_whole_and_in_pieces() -> None:
    longest = b"x" * MAX_REQUEST
    frame = encode(longest)
    assert read(frame)[0] == [longest]
    assert read(frame[:3], frame[3:9000], frame[9000:])[0] == [longest]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02",
        b":",
        b",",
        b" 1:a,",
        b"+1:a,",
        b"-1:a,",
        b"1 :a,",
        b"1_0:aaaaaaaaaa,",
        b"01:a,",
        b"00:,",
        b"\xd9\xa1:a,",
        b"1:ab",
        b"0:x",
        b"3:abc;",
        b"10001",
        b"10001:",
        b"99999:",
        b"123456",
        b"18446744073709551617:",
    ],
)
def test_garbage_is_refused_at_once_and_after_good_requests(garbage: bytes) -> None:
    pieces = [garbage[i : i + 1] for i in range(len(garbage))]
    for before in ([], [b"a"], [b"a", b"b"]):
        frames = b"".join(map(encode, before))
        for reads in ([frames + garbage], [frames, garbage], [frames, *pieces]):
            requests, error = read_until_error(*reads)
            assert requests == before
            assert error


def test_the_error_names_the_limit_for_a_length_above_it() -> None:
    with pytest.raises(ProtocolError, match="more than 10000 bytes"):
        list(Reader().feed(b"10001:"))
    with pytest.raises(ProtocolError, match="no length"):
        list(Reader().feed(b"0010:"))


def test_a_broken_stream_stays_broken_and_is_not_kept() -> None:
    reader = Reader()
    with pytest.raises(ProtocolError) as first:
        list(reader.feed(b"x" * 100_000))
    with pytest.raises(ProtocolError) as second:
        list(reader.feed(encode(b"postfix a.example")))
    assert second.value is first.value
    assert reader.pending == 0


def test_at_most_one_request_is_held_back() -> None:
    reader = Reader()
    frame = encode(b"x" * MAX_REQUEST)
    for start in range(0, len(frame) - 1, 1000):
        assert list(reader.feed(frame[start : min(start + 1000, len(frame) - 1)])) == []
        assert reader.pending < len(frame)
    assert list(reader.feed(b"," + b"1:a,")) == [b"x" * MAX_REQUEST, b"a"]
