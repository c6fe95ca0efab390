"""SMTP, as far as it leads to STARTTLS (RFC 5321, RFC 3207): octets in, replies out.

No network here: `policies.mtasts.starttls` brings the octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_REPLY = 8192
"""Octets of one reply; a server that says more is not worth listening to."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?\r?\n")


class SMTPError(Exception):
    """What came is no SMTP, or more than that."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code, and the text of each line."""

    code: int
    lines: tuple[str, ...]

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 300

    def offers(self, extension: str) -> bool:
        """Whether an EHLO reply names this extension; the first line names the server."""
        return any(line.split(" ")[0].upper() == extension for line in self.lines[1:])

    def __str__(self) -> str:
        return f"{self.code} {self.lines[-1]}"[:200]


class Reader:
    """Turns octets into replies."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, octets: bytes) -> None:
        """Octets that have come. Raises SMTPError for more than a reply may have."""
        self._buffer += octets
        if len(self._buffer) > MAX_REPLY:
            raise SMTPError(f"a reply of more than {MAX_REPLY} octets")

    def reply(self) -> Reply | None:
        """The next reply, once all of it is there. Raises SMTPError for what is none."""
        at, code, lines = 0, b"", []
        while match := _LINE.match(self._buffer, at):
            if code and match[1] != code:
                raise SMTPError("a reply whose lines have different codes")
            at, code = match.end(), match[1]
            lines.append((match[3] or b"").decode("ascii", "replace"))
            if match[2] != b"-":
                self._buffer = self._buffer[at:]
                return Reply(int(code), tuple(lines))
        if b"\n" in self._buffer[at:]:
            line = self._buffer[at:].split(b"\n")[0]
            raise SMTPError(f"expected an SMTP reply, found {line[:80]!r}")
        return None

    @property
    def is_empty(self) -> bool:
        """Whether nothing came beyond the replies. After STARTTLS something would be slipped in."""
        return not self._buffer
