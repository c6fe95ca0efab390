"""What a report has to be: RFC 8460 section 4.4 as a JSON schema, and I-JSON (RFC 7493)."""

from __future__ import annotations

import json
from typing import Any

_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_TEXT = {"type": "string", "minLength": 1}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_A_LABELS = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_DOMAIN = {"type": "string", "pattern": f"^{_A_LABELS}$", "maxLength": 253}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


_POLICY = _object(
    {
        "policy-type": {"enum": ["tlsa", "sts", "no-policy-found"]},
        "policy-domain": _DOMAIN,
    },
    {
        "policy-string": {"type": "array", "items": {"type": "string"}},
        "mx-host": {
            "type": "array",
            "items": {"type": "string", "pattern": rf"^(\*\.)?{_A_LABELS}$"},
        },
    },
)

_FAILURE = _object(
    {"result-type": _TEXT, "failed-session-count": _COUNT},
    {
        "sending-mta-ip": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        "receiving-ip": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        "receiving-mx-hostname": _TEXT,
        "receiving-mx-helo": _TEXT,
        "additional-information": _TEXT,
        "failure-reason-code": _TEXT,
    },
)

SCHEMA = _object(
    {
        "organization-name": _TEXT,
        "date-range": _object({"start-datetime": _TIME, "end-datetime": _TIME}),
        "contact-info": {"type": "string", "pattern": rf"^[^@\s]+@{_A_LABELS}$"},
        # The same text is a Message-ID's (section 5.3).
        "report-id": {
            "type": "string",
            "pattern": rf"^[0-9]{{8}}\.[0-9]+\.{_A_LABELS}@{_A_LABELS}$",
        },
        "policies": {
            "type": "array",
            "items": _object(
                {
                    "policy": _POLICY,
                    "summary": _object(
                        {
                            "total-successful-session-count": _COUNT,
                            "total-failure-session-count": _COUNT,
                        }
                    ),
                },
                {"failure-details": {"type": "array", "items": _FAILURE}},
            ),
        },
    }
)


def read(text: str) -> dict[str, Any]:
    """The report in `text`. Raises ValueError, or jsonschema.ValidationError, for what is none."""
    import jsonschema

    report = json.loads(text, object_pairs_hook=_without_duplicates)
    checker = jsonschema.FormatChecker(["ipv4", "ipv6"])
    jsonschema.Draft202012Validator(SCHEMA, format_checker=checker).validate(report)
    _check_characters(report)
    return report


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(f"a name comes twice in {pairs}")
    return dict(pairs)


def _check_characters(value: Any) -> None:
    """No surrogates and no noncharacters in any string (RFC 7493 section 2.1)."""
    if isinstance(value, dict):
        for name, member in value.items():
            _check_characters(name)
            _check_characters(member)
    elif isinstance(value, list):
        for member in value:
            _check_characters(member)
    elif isinstance(value, str):
        value.encode()
        if any(ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF for char in value):
            raise ValueError(f"a noncharacter in {value!r}")
