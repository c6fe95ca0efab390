"""The lines of a policy as `policy-string` holds them (RFC 8460 section 4.4)."""

from __future__ import annotations

import unicodedata

MAX_LINES = 64
MAX_OCTETS = 4096
"""Of UTF-8, line ends not counted."""


def policy_lines(text: str) -> tuple[str, ...]:
    """The lines of a valid policy as served, without LF or CRLF."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return tuple(lines)


def received_lines(text: str) -> tuple[str, ...]:
    """The lines of whatever was served instead of a policy, made fit for a report.

    At most MAX_LINES and MAX_OCTETS, the last line cut short where it must be. Control
    characters and lone surrogates become U+FFFD.
    """
    lines: list[str] = []
    left = MAX_OCTETS
    # What was served may be 64 KiB of anything: no more of it is looked at than can be kept.
    for raw in policy_lines(text[: MAX_OCTETS + 2 * MAX_LINES])[:MAX_LINES]:
        line = _without_controls(raw)
        kept = line.encode()[:left].decode(errors="ignore")
        if kept or not line:
            lines.append(kept)
        if kept != line:
            break
        left -= len(kept.encode())
    return tuple(lines)


def _without_controls(line: str) -> str:
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in ("Cc", "Cs") else char
        for char in line
    )
