"""What Postfix makes of a socketmap reply for `smtp_tls_policy_maps`.

An independent reading of its rules (TLS policy table in postconf(5), TLSRPT_README, and the
behaviour of 3.7.11 and 3.10.13), for tests to hold replies against. It knows nothing of the code
that builds them. C strings end at a NUL, names and levels compare without case, blanks are those
of C's isspace() among ASCII: this is Postfix's world, not Python's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

REPLY_LIMIT = 100_000
SEPARATORS = b", \t\r\n"
BLANKS = b" \t\n\v\f\r"

LEVELS = (
    b"none",
    b"may",
    b"encrypt",
    b"fingerprint",
    b"dane",
    b"dane-only",
    b"verify",
    b"secure",
)
MATCHING_LEVELS = (b"verify", b"secure")  # "fingerprint" has a match= of another kind
POLICY_TYPES = (b"sts", b"no-policy-found")
POLICY_FAILURES = (
    b"sts-policy-fetch-error",
    b"sts-policy-invalid",
    b"sts-webpki-invalid",
    b"validation-failure",
)
BASIC_NAMES = (
    b"ciphers",
    b"protocols",
    b"servername",
    b"match",
    b"exclude",
    b"tafile",
    b"connection_reuse",
)
TLSRPT_NAMES = (
    b"policy_ttl",
    b"policy_type",
    b"policy_domain",
    b"policy_string",
    b"mx_host_pattern",
    b"policy_failure",
)
LAST_COUNTS = (b"connection_reuse", b"enable_rpk")
MATCH_WORDS = (b"hostname", b"nexthop", b"dot-nexthop")


class Postfix(Enum):
    """A version whose rules are known here."""

    V3_7 = (3, 7, 11)
    V3_10 = (3, 10, 13)

    @property
    def attributes(self) -> tuple[bytes, ...]:
        if self is Postfix.V3_7:
            return BASIC_NAMES
        return (*BASIC_NAMES, b"enable_rpk", *TLSRPT_NAMES)


class Kind(Enum):
    """What one part of `match=` is compared with."""

    NAME = "this name"
    SUBDOMAINS = "any name below this one"
    WORD = "a name that Postfix fills in"
    ADDRESS = "an IP address, which spoils the whole entry"
    NOTHING = "a lone dot, which Postfix skips"


@dataclass(frozen=True, slots=True)
class Match:
    """One part of `match=`."""

    kind: Kind
    name: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy entry that Postfix accepted."""

    level: bytes
    match: tuple[Match, ...] = ()
    mx_host_patterns: tuple[bytes, ...] = ()
    policy_strings: tuple[bytes, ...] = ()
    single: tuple[tuple[bytes, bytes], ...] = ()

    def get(self, name: bytes) -> bytes | None:
        """The value of an attribute that may occur once."""
        return dict(self.single).get(name)

    def names_checked(self) -> tuple[Match, ...]:
        """What the certificate is compared with: with MX patterns the MX host's own name."""
        is_sts = (self.get(b"policy_type") or b"").lower() == b"sts"
        if is_sts and self.match and self.mx_host_patterns:
            return (Match(Kind.WORD, b"hostname"),)
        return self.match

    def allows_mx(self, host: bytes) -> bool:
        """Whether Postfix ≥ 3.10.5 would talk to this MX host at all."""
        is_sts = (self.get(b"policy_type") or b"").lower() == b"sts"
        if not (is_sts and self.match and self.mx_host_patterns):
            return True
        host = host.lower()
        _, dot, parent = host.partition(b".")
        return any(
            host == pattern or (dot and not host.startswith(b".") and b"*." + parent == pattern)
            for pattern in map(bytes.lower, self.mx_host_patterns)
        )


@dataclass(frozen=True, slots=True)
class Deferred:
    """Postfix defers the mail; `warning` is the gist of what it logs."""

    warning: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no entry under this key; Postfix asks for the parent domain next."""


class _InvalidError(Exception):
    """The entry does not hold, whatever else is in it."""


def read_reply(payload: bytes, version: Postfix) -> Entry | Deferred | NotFound:
    """What a whole reply (without its netstring) does to a delivery."""
    if len(payload) > REPLY_LIMIT:
        return Deferred("input exceeds size limit")
    status, _, data = _c_string(payload).partition(b" ")
    if status == b"NOTFOUND":
        return NotFound()
    if status != b"OK":
        return Deferred(f"socketmap server error: {status!r}: {data!r}")
    if not data:
        return Deferred("empty string result")
    try:
        data.decode()
    except UnicodeDecodeError:
        return Deferred("non-UTF-8 value")
    return read_entry(data, version)


def read_entry(entry: bytes, version: Postfix) -> Entry | Deferred:
    """How Postfix parses the right-hand side of a policy table."""
    try:
        return _parse(_c_string(entry), version)
    except _InvalidError as error:
        return Deferred(str(error))


def _parse(text: bytes, version: Postfix) -> Entry:
    tokens = _tokens_with_braces(text) if version is Postfix.V3_10 else _tokens(text)
    if not tokens:
        raise _InvalidError("invalid empty policy")
    level, *attributes = tokens
    if level.lower() not in LEVELS:
        raise _InvalidError(f"invalid security level {level!r}")
    entry = Entry(level.lower())
    if entry.level == b"none":
        return entry
    for token in attributes:
        name, value = _attribute(token, version)
        entry = _add(entry, name, value, version)
    if _has_tlsrpt(entry) and entry.get(b"policy_type") is None:
        raise _InvalidError("built-in policy has unexpected attribute")
    return entry


def _has_tlsrpt(entry: Entry) -> bool:
    repeated = entry.mx_host_patterns or entry.policy_strings
    return bool(repeated) or any(name in TLSRPT_NAMES for name, _ in entry.single)


def _c_string(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _tokens(text: bytes) -> list[bytes]:
    return [token for token in re.split(rb"[, \t\r\n]+", text) if token]


def _tokens_with_braces(text: bytes) -> list[bytes]:
    """Separators count outside braces only; an opening brace anywhere begins a group."""
    tokens = []
    token = bytearray()
    depth = 0
    for byte in text:
        if depth == 0 and byte in SEPARATORS:
            if token:
                tokens.append(bytes(token))
            token.clear()
            continue
        if byte == ord("{"):
            depth += 1
        elif byte == ord("}") and depth:
            depth -= 1
        token.append(byte)
    if token:
        tokens.append(bytes(token))
    return tokens


def _attribute(token: bytes, version: Postfix) -> tuple[bytes, bytes]:
    """Name in lower case and value of `name=value` or `{ name = value }`."""
    if version is Postfix.V3_10 and token.startswith(b"{"):
        token = _inside_braces(token)
    text = token.lstrip(BLANKS)
    if not text or text.startswith(b"="):
        raise _InvalidError(f"malformed attribute/value pair {token!r}: missing attribute name")
    found = re.match(rb"([^= \t\n\v\f\r]+)[ \t\n\v\f\r]*=", text)
    if not found:
        raise _InvalidError(f"malformed attribute/value pair {token!r}: missing '='")
    return found[1].lower(), text[found.end() :].strip(BLANKS)


def _inside_braces(token: bytes) -> bytes:
    """What stands between the outer braces, every blank in it made a space."""
    end = _closing_brace(token)
    if token[end + 1 :]:
        raise _InvalidError(f"malformed attribute/value pair {token!r}: syntax error after '}}'")
    return re.sub(rb"[\t\n\v\f\r]", b" ", token[1:end].strip(BLANKS))


def _closing_brace(token: bytes) -> int:
    depth = 0
    for index, byte in enumerate(token):
        depth += (byte == ord("{")) - (byte == ord("}"))
        if depth == 0:
            return index
    raise _InvalidError(f"malformed attribute/value pair {token!r}: missing '}}'")


def _add(entry: Entry, name: bytes, value: bytes, version: Postfix) -> Entry:
    if name not in version.attributes:
        raise _InvalidError(f"invalid attribute name: {name!r}")
    if name == b"match":
        return replace(entry, match=entry.match + _match(entry, value))
    if name == b"policy_string":
        return replace(entry, policy_strings=(*entry.policy_strings, value))
    if name == b"mx_host_pattern":
        return replace(entry, mx_host_patterns=(*entry.mx_host_patterns, value))
    if name == b"tafile":
        raise _InvalidError("a trust anchor file is never ours to name")
    if entry.get(name) is not None and name not in LAST_COUNTS:
        raise _InvalidError(f"attribute {name!r} is specified multiple times")
    if not _is_valid(name, value):
        raise _InvalidError(f"attribute {name!r} has a bad value: {value!r}")
    return replace(entry, single=(*entry.single, (name, value)))


def _is_valid(name: bytes, value: bytes) -> bool:
    match name:
        case b"servername" | b"policy_domain":
            return is_hostname(value)
        case b"ciphers":
            return bool(value)
        case b"connection_reuse" | b"enable_rpk":
            return value.lower() in (b"yes", b"no")
        case b"policy_ttl":
            return value.isdigit()
        case b"policy_type":
            return value.lower() in POLICY_TYPES
        case b"policy_failure":
            return value.lower() in POLICY_FAILURES
    return True


def _match(entry: Entry, value: bytes) -> tuple[Match, ...]:
    if not value:
        raise _InvalidError("attribute 'match' has empty value")
    if entry.level not in MATCHING_LEVELS:
        raise _InvalidError(f"attribute 'match' invalid at security level {entry.level!r}")
    return tuple(_match_part(part) for part in value.split(b":") if part)


def _match_part(part: bytes) -> Match:
    if part.lower() in MATCH_WORDS:
        return Match(Kind.WORD, part.lower())
    if part == b".":
        return Match(Kind.NOTHING, b"")
    if part.startswith(b"."):
        return Match(Kind.SUBDOMAINS, part[1:])
    if re.fullmatch(rb"[0-9]+(\.[0-9]+){3}", part):
        return Match(Kind.ADDRESS, part)
    return Match(Kind.NAME, part)


def is_hostname(name: bytes) -> bool:
    """A host name to Postfix: underscores pass, digits and dots alone do not."""
    if len(name) > 255 or not name.strip(b"0123456789."):
        return False
    label = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
    return all(label.fullmatch(part) for part in name.split(b"."))
