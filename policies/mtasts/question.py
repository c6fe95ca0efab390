"""A question to DNS as it is sent, and which datagrams answer it (RFC 1035, RFC 6891)."""

from __future__ import annotations

import os
import struct

import dns.rdatatype

# What DNS Flag Day 2020 settled on: no fragments on any sane path.
_PAYLOAD = 1232

_RD_AD = 0x0120  # recursion, please, and a word on DNSSEC (RFC 6840 section 5.7)
_QR, _OPCODE, _RCODE = 0x8000, 0x7800, 0x000F

# Without EDNS no extended error comes back (RFC 8914).
_OPT = struct.pack("!BHHIH", 0, 41, _PAYLOAD, 0, 0)
_HEADER = struct.Struct("!HHHHHH")
_START = _HEADER.size

# FORMERR, SERVFAIL, NOTIMP and REFUSED may come without the question.
_MAY_LACK_QUESTION = frozenset({1, 2, 4, 5})


class Question:
    """What is asked of one name, with an id that nobody on another path can know.

    `name`: ASCII, taken as absolute, empty for the root; `rdtype`: such as "TXT". Raises ValueError
    for what is no name in DNS: an empty or too long label, more than 255 octets.
    """

    __slots__ = ("_asked", "_id", "name", "rdtype", "wire")

    def __init__(self, name: str, rdtype: str) -> None:
        self.name = name
        self.rdtype = rdtype
        self._asked = _wire_name(name) + struct.pack("!HH", dns.rdatatype.from_text(rdtype), 1)
        self._id = os.urandom(2)
        numbers = (int.from_bytes(self._id), _RD_AD, 1, 0, 0, 1)
        self.wire = _HEADER.pack(*numbers) + self._asked + _OPT

    def is_answered_by(self, received: bytes) -> bool:
        """Whether a datagram claims to answer this; whether it can be read is another matter."""
        if len(received) < _START or received[:2] != self._id:
            return False
        _, flags, questions, *_ = _HEADER.unpack_from(received)
        if not flags & _QR or flags & _OPCODE:
            return False
        if not questions:
            return flags & _RCODE in _MAY_LACK_QUESTION
        asked = received[_START : _START + len(self._asked)]
        return questions == 1 and asked.lower() == self._asked.lower()


def _wire_name(name: str) -> bytes:
    labels = name.encode("ascii").split(b".") if name else []
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name!r} has a label that is empty or longer than 63 octets")
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(wire) > 255:
        raise ValueError(f"{name!r} is longer than a name in DNS may be")
    return wire
