"""The stages of a check that ask DNS for the record (RFC 8461 section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.check.findings import Fact, Stage, State
from policies.check.telling import Teller
from policies.mtasts import Domain, select_record
from policies.mtasts.dns import Answer, Resolver
from policies.mtasts.ede import VALIDATION_FAILURES
from policies.mtasts.errors import DNSError, DomainNameError, NoRecordError, RecordError
from policies.mtasts.txt import as_written, joined

if TYPE_CHECKING:
    from policies.decide import Look


def look(name: Domain, resolver: Resolver, teller: Teller) -> Look:
    """What the TXT answer comes to."""
    try:
        asked = name.record_name
    except DomainNameError as error:
        failure = NoRecordError(str(error))
        teller.fail(Stage.TXT, "not asked", failure)
        return failure
    try:
        answer = resolver.query(asked, "TXT")
    except DNSError as error:
        teller.fail(Stage.TXT, "no answer", error, *_dns_failure_facts(asked, error))
        return error
    teller.tell(Stage.TXT, State.OK, "answered", *_txt_facts(asked, answer))
    try:
        record = select_record(joined(answer))
    except RecordError as error:
        word = "none" if isinstance(error, NoRecordError) else "not usable"
        teller.fail(Stage.RECORD, word, error)
        return error
    extensions = [f"{key}={value}" for key, value in record.extensions]
    teller.tell(
        Stage.RECORD,
        State.OK,
        "found",
        Fact.of("Version", record.version),
        Fact.of("Id", record.id),
        Fact.of("Extensions", *(extensions or ["none"])),
    )
    return record


def _dns_failure_facts(asked: str, error: DNSError) -> list[Fact]:
    facts = [Fact.of("Asked for", f"{asked} TXT")]
    if error.ede is not None:
        facts.append(Fact.of("Extended error", f"{error.ede} {VALIDATION_FAILURES[error.ede]}"))
    return facts


def _txt_facts(asked: str, answer: Answer) -> list[Fact]:
    facts = [Fact.of("Asked for", f"{asked} TXT")]
    if answer.canonical and answer.canonical != asked.removesuffix("."):
        facts.append(Fact.of("Alias of", answer.canonical))
    nothing = "no TXT record" if answer.exists else "there is no such name"
    facts.append(Fact.of("Answer", *(as_written(answer) or [nothing])))
    facts.append(Fact.of("TTL", f"{answer.ttl} s"))
    facts.append(Fact.of("DNSSEC", "proven by the resolver" if answer.authentic else "not proven"))
    return facts
