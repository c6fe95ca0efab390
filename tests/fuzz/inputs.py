"""Bytes that resemble what parsers want, and bytes that resemble nothing."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS

_PIECES = st.sampled_from(
    [
        *(b"v=STSv1", b"id=", b";", b"=", b"version:", b"STSv1", b"mode: ", b"enforce", b"mx: "),
        *(b"max_age: ", b"86400", b"*.", b".", b"example", b"xn--", b"-", b"_", b"\n", b"\r\n"),
        *(b" ", b"\t", b"{", b"}", b" = ", b"match=", b"postfix ", b"OK ", b":", b",", b"[", b"]"),
        *(b"::ffff:", b"10.0.0.1", b"0x7f", b"%", b"&", b"q=", b"after=", b"\0", b"\x7f", b"\xff"),
        *("ü".encode(), "\u2028".encode(), b"\xed\xa0\x80", b"9" * 30, b"a" * 64, b"to=<", b">, "),
    ]
)
_BUILT = st.lists(st.one_of(_PIECES, st.binary(max_size=4)), max_size=30).map(b"".join)


@st.composite
def _bent(draw: st.DrawFn) -> bytes:
    """A seed with something put in, taken out or doubled."""
    seed = draw(st.sampled_from(SEEDS))
    start = draw(st.integers(0, len(seed)))
    end = draw(st.integers(start, len(seed)))
    return seed[:start] + draw(_BUILT) + seed[start:end] * draw(st.integers(0, 3)) + seed[end:]


INPUTS = st.one_of(st.binary(max_size=300), _BUILT, _bent())
