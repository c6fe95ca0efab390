import pytest

from policies.mtasts.domain import Domain
from policies.socketmap.reply import MALFORMED_REQUEST, NOT_FOUND, UNKNOWN_MAP
from policies.socketmap.request import Query, parse_request

EXAMPLE = Domain("example.com", "example.com")


@pytest.mark.parametrize(
    ("name", "tlsrpt"),
    [
        (b"postfix", False),
        (b"QUERY", False),
        (b"postfix-tlsrpt", True),
        (b"QUERYwithTLSRPT", True),
    ],
)
def test_each_map_name_says_whether_tlsrpt_attributes_are_wanted(name: bytes, tlsrpt: bool) -> None:
    assert parse_request(name + b" example.com") == Query(EXAMPLE, tlsrpt)


@pytest.mark.parametrize(
    "name", [b"", b"Postfix", b"POSTFIX", b"query", b"postfix-tls", b"postfix\t", b"\xff"]
)
@pytest.mark.parametrize("key", [b"", b"example.com", b".example.com"])
def test_another_map_name_is_a_permanent_error(name: bytes, key: bytes) -> None:
    assert parse_request(name + b" " + key) == UNKNOWN_MAP == b"PERM unknown map"


@pytest.mark.parametrize("request_", [b"", b"postfix", b"example.com", b"postfix\texample.com"])
def test_a_request_without_a_blank_is_a_permanent_error(request_: bytes) -> None:
    assert parse_request(request_) == MALFORMED_REQUEST
    assert MALFORMED_REQUEST.startswith(b"PERM ")


@pytest.mark.parametrize(
    "key",
    [
        "example.com",
        "example.com.",
        "Example.COM",
        "example.com:25",
        "example.com:submission",
        "example.com:whois++",
        "EXAMPLE.com.:smtp",
    ],
)
def test_each_spelling_of_a_next_hop_means_the_same_domain(key: str) -> None:
    assert parse_request(b"postfix " + key.encode()) == Query(EXAMPLE, tlsrpt=False)


@pytest.mark.parametrize("key", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example:25"])
def test_u_labels_and_a_labels_mean_the_same_domain(key: str) -> None:
    bücher = Domain("xn--bcher-kva.example", "bücher.example")
    assert parse_request(b"postfix-tlsrpt " + key.encode()) == Query(bücher, tlsrpt=True)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b".",
        b".example.com",
        b".com",
        b"..example.com",
        b"example..com",
        b"example.com..",
        b" example.com",
        b"example.com ",
        b"exam ple.com",
        b"example.com\n",
        b"example.com\0",
        b"[mail.example.com]",
        b"[mail.example.com]:25",
        b"[192.0.2.1]",
        b"[192.0.2.1]:587",
        b"[2001:db8::1]",
        b"[IPv6:2001:db8::1]:25",
        b"192.0.2.1",
        b"192.0.2.1.",
        b"192.0.2.1:25",
        b"2001:db8::1",
        b"::1",
        b"::",
        b"/var/spool/postfix/private/lmtp",
        b"private/lmtp",
        b"unix:/run/lmtp",
        b"unix:private/lmtp",
        b"example.com:",
        b":25",
        b":",
        b"example.com:25:26",
        b"example.com: 25",
        b"example.com:25\r",
        b"user@example.com",
        b"*.example.com",
        b"ex_ample.com",
        b"-example.com",
        b"b\xfccher.example",
        b"\xed\xa0\x80.example",
        b"example.com:\xc3\xbc",
        b"\xe3\x80\x82example.com",
        b"a" * 64 + b".example",
        b"a." * 127 + b"example",
        b"x" * 9000,
    ],
)
def test_a_key_that_is_no_policy_domain_is_not_found(key: bytes) -> None:
    assert parse_request(b"postfix " + key) == NOT_FOUND
    assert parse_request(b"postfix-tlsrpt " + key) == NOT_FOUND


def test_the_reply_for_not_found_keeps_its_blank() -> None:
    assert NOT_FOUND == b"NOTFOUND "
