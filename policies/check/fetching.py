"""The stages of a check that ask the policy host (RFC 8461 section 3.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from policies.check.findings import Fact, Stage, State, shown_time
from policies.check.telling import Teller
from policies.mtasts import Domain, Mode, Policy
from policies.mtasts.addresses import is_allowed
from policies.mtasts.errors import CertificateError, FetchError, PolicySyntaxError
from policies.mtasts.https import PolicyFetcher, Step, StepKind
from policies.mtasts.tls import PeerCertificate

if TYPE_CHECKING:
    from policies.decide import Fetched

RENEWED_BY = timedelta(days=7)
"""Certificates that end within so long should have been renewed."""

SHORT_MAX_AGE = 86_400
"""Seconds. RFC 8461 section 3.2 expects weeks; below a day a policy protects little."""


def fetch(name: Domain, fetcher: PolicyFetcher, teller: Teller) -> Fetched:
    """What the policy host's answer comes to."""
    watch = _Watch(fetcher, teller)
    try:
        fetched = fetcher.fetch(name, watch.step)
    except PolicySyntaxError as error:
        teller.fail(Stage.POLICY, "does not parse", error, Fact.of("Line", str(error.line)))
        teller.add_text(error.received, error.line)
        return error
    except FetchError as error:
        watch.failed(error)
        return error
    teller.tell(Stage.POLICY, State.OK, "valid", *_policy_facts(fetched.policy))
    teller.add_text(fetched.text, note=_odd(fetched.policy))
    return fetched


class _Watch:
    """Turns the steps of a fetch into findings, and knows at which stage it fails."""

    def __init__(self, fetcher: PolicyFetcher, teller: Teller) -> None:
        self._fetcher = fetcher
        self._teller = teller
        self._next = Stage.CONNECTION if fetcher.proxy else Stage.ADDRESSES

    def step(self, step: Step) -> None:
        match step.kind:
            case StepKind.ADDRESSES:
                self._addresses(step.detail.split(", "))
            case StepKind.CONNECTED:
                self._next = Stage.CERTIFICATE
                port = str(self._fetcher.port)
                facts = (Fact.of("Address", step.detail), Fact.of("Port", port))
                self._teller.tell(Stage.CONNECTION, State.OK, "connected", *facts)
            case StepKind.CERTIFICATE if step.certificate is not None:
                self._next = Stage.HTTP
                self._certificate(step.certificate)
            case StepKind.STATUS:
                self._next = Stage.POLICY
                headers = (Fact.of(header, value) for header, value in step.headers)
                status = Fact.of("Status", step.detail)
                self._teller.tell(Stage.HTTP, State.OK, "answered", status, *headers)

    def failed(self, error: FetchError) -> None:
        stage = self._stage_of(error)
        self._teller.fail(stage, "refused" if stage is Stage.CERTIFICATE else "failed", error)

    def _stage_of(self, error: FetchError) -> Stage:
        if isinstance(error, CertificateError):
            return Stage.CERTIFICATE
        if error.reason == "address-not-allowed":
            return Stage.ADDRESSES
        if error.reason.startswith(("http-", "content-", "no-policy-")) and (
            self._next is Stage.POLICY
        ):
            return Stage.HTTP
        return self._next

    def _addresses(self, found: list[str]) -> None:
        self._next = Stage.CONNECTION
        private = self._fetcher.allow_private
        allowed = {address: is_allowed(address, private) for address in found}
        shown = [
            address if allowed[address] else f"{address} (private or reserved: not connected to)"
            for address in found
        ]
        state = State.OK if all(allowed.values()) else State.WARN
        self._teller.tell(Stage.ADDRESSES, state, "found", Fact.of("Addresses", *shown))

    def _certificate(self, shown: PeerCertificate) -> None:
        is_old = shown.not_after - datetime.now(UTC) < RENEWED_BY
        self._teller.tell(
            Stage.CERTIFICATE,
            State.WARN if is_old else State.OK,
            "ends soon" if is_old else "verified",
            Fact.of("Issuer", shown.issuer or "not named"),
            Fact.of("Names", *(shown.names or ("none that counts (DNS-ID)",))),
            Fact.of("Valid from", shown_time(shown.not_before)),
            Fact.of("Valid until", shown_time(shown.not_after)),
        )


def _policy_facts(policy: Policy) -> list[Fact]:
    facts = [
        Fact.of("Version", policy.version),
        Fact.of("Mode", str(policy.mode)),
        Fact.of("MX patterns", *(map(str, policy.mx[:50]) if policy.mx else ["none"])),
        Fact.of("max_age", f"{policy.max_age} s"),
    ]
    extensions = [f"{key}: {value}" for key, value in policy.extensions[:50]]
    return [*facts, Fact.of("Extensions", *(extensions or ["none"]))]


def _odd(policy: Policy) -> str:
    """What is allowed, and all the same no good."""
    addresses = [str(pattern) for pattern in policy.mx if pattern.is_address]
    if addresses:
        return (
            f"{', '.join(addresses[:5])} is shaped like an IP address and matches no mail host;"
            " name the host instead (RFC 8461 section 4.1)."
        )
    if policy.mode is not Mode.NONE and policy.max_age < SHORT_MAX_AGE:
        return (
            "max_age is less than a day: whoever can suppress the TXT record for so long defeats"
            " the policy. Weeks are usual (RFC 8461 section 3.2)."
        )
    return ""
