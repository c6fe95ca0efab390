"""What an operator has to see to believe an alert: before, after, DNS and certificate. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from policies.mtasts import Policy, Record
from policies.mtasts.errors import (
    DNSError,
    FetchError,
    MTASTSError,
    PolicySyntaxError,
    RecordError,
)
from policies.storable import storable
from policies.tlsrpt.failures import failure_details

if TYPE_CHECKING:
    from policies.decide import Fetched, Look
    from policies.mtasts.tls import PeerCertificate
    from policies.tlsrpt.result import FailureDetails

TEXT_KEPT = 65_536
"""Characters of a policy text."""

TXTS_KEPT, TXT_KEPT = 8, 512
"""TXT strings that are shown, and characters of each."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was held. `last_update`: of the last fetch that was stored."""

    record_id: str
    mode: str
    max_age: int
    mx: list[str]
    last_update: datetime
    failures: int
    failing_since: datetime | None

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in values.items()
        }


def build(
    before: Before,
    look: Look,
    fetched: Fetched | None,
    last_failure: FailureDetails | None = None,
) -> dict[str, Any]:
    """As JSON takes it: `before`, `after`, `dns`, `certificate`, `failure`.

    `last_failure`: of the fetch before, shown where nothing was fetched now.
    """
    found: dict[str, Any] = {"before": before.to_json(), "dns": _dns(look)}
    if fetched is None:
        if last_failure is not None:
            found["failure"] = _details(last_failure, "the last fetch failed")
        return found
    found["certificate"] = _certificate(fetched.certificate)
    if isinstance(fetched, MTASTSError):
        found["failure"] = _failure(fetched)
    else:
        found["after"] = _policy(fetched.policy)
    return found


def after_text(fetched: Fetched | None) -> str:
    """What the policy host served, whether or not it is a policy."""
    if fetched is None or isinstance(fetched, FetchError):
        return ""
    text = fetched.received if isinstance(fetched, PolicySyntaxError) else fetched.text
    return storable(text[:TEXT_KEPT])


def _dns(look: Look) -> dict[str, Any]:
    if isinstance(look, Record):
        return {"id": look.id, "txt": [_record(look)]}
    found: dict[str, Any] = {"error": str(look)}
    if isinstance(look, RecordError):
        found["txt"] = [_printable(txt) for txt in look.seen[:TXTS_KEPT]]
        found["ttl"] = look.ttl
    elif isinstance(look, DNSError):
        found["reason"] = look.reason
    return found


def _record(record: Record) -> str:
    fields = (("v", record.version), ("id", record.id), *record.extensions)
    return _printable("; ".join(f"{name}={value}" for name, value in fields))


def _printable(text: str) -> str:
    """PostgreSQL stores no NUL, and pages show what hides."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[:TXT_KEPT])
    return shown + ("…" if len(text) > TXT_KEPT else "")


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "mode": str(policy.mode),
        "max_age": policy.max_age,
        "mx": [str(pattern) for pattern in policy.mx],
    }


def _failure(error: FetchError | PolicySyntaxError) -> dict[str, Any]:
    return _details(failure_details(error), _printable(str(error)))


def _details(failure: FailureDetails, message: str) -> dict[str, Any]:
    return {
        "type": str(failure.result_type),
        "reason": failure.reason_code,
        "message": message,
    }


def _certificate(certificate: PeerCertificate | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    return {
        "issuer": _printable(certificate.issuer),
        "names": [_printable(name) for name in certificate.names[:50]],
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
    }
