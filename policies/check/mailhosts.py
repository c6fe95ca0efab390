"""Whether mail gets through to the domain's mail hosts under its policy (RFC 8461 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.check.advice import Advice, Who, advice
from policies.check.findings import Fact, Stage, State
from policies.check.telling import Teller
from policies.mtasts import Domain, Mode, Policy
from policies.mtasts.dns import Resolver
from policies.mtasts.errors import DNSError
from policies.mtasts.mailhosts import MailHosts, mail_hosts
from policies.mtasts.mxfit import FORETELLS, Finding, Fit, Named, compare

SHOWN = 32
"""Mail hosts of one domain that are shown."""

_RFC = "RFC 8461 section 4.1"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a comparison means for mail: a badge, a sentence, and what to do, if anything."""

    state: State
    word: str
    said: str
    advice: Advice | None = None
    note: str = ""
    """What else is to be known of it."""


def look(name: Domain, policy: Policy, resolver: Resolver, teller: Teller) -> Fit | None:
    """How the mail hosts fit now; None where DNS does not say."""
    try:
        found = mail_hosts(resolver, name, resolver.timeout)
    except DNSError as error:
        said = f"{error}. Whether mail gets through cannot be said."
        teller.judge(Stage.MAIL_HOSTS, State.WARN, "no answer", said, advice(error))
        return None
    fit = compare(found.pairs, policy.mx)
    judged = judge(policy.mode, found.named, fit)
    problem = " ".join(filter(None, (judged.said, judged.note)))
    teller.judge(
        Stage.MAIL_HOSTS, judged.state, judged.word, problem, judged.advice, *_facts(found, fit)
    )
    return fit


def judge(mode: Mode, named: Named, fit: Fit) -> Judged:
    """What becomes of mail to hosts that fit so, under a policy of this mode."""
    if named is Named.NULL:
        said = "The domain says that it takes no mail at all (RFC 7505): nothing can be deferred."
        return Judged(State.IDLE, "takes no mail", said)
    if named is Named.ABSENT:
        said = "DNS knows no such name, so there is no host to take mail."
        return Judged(State.WARN, "no such domain", said)
    if fit.finding is Finding.FITS:
        return Judged(State.OK, "all fit", "")
    said = _MEANING[fit.finding]
    if mode is not Mode.ENFORCE:
        said = f"Mail goes out all the same while the policy is tested. If it were enforced: {said}"
    defers = mode is Mode.ENFORCE and fit.finding in FORETELLS
    state = State.BAD if defers else State.WARN
    note = _BY_CERTIFICATE if fit.finding is Finding.NONE else ""
    return Judged(state, _WORDS[fit.finding], _sentence(said), _advice(fit), note)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


_WORDS = {
    Finding.PARTLY: "some do not fit",
    Finding.DETOUR: "the preferred one does not fit",
    Finding.NONE: "none fits",
}

_MEANING = {
    Finding.PARTLY: "mail gets through by the hosts that fit; the others are passed over, so that"
    " mail waits when those are down.",
    Finding.DETOUR: "no message goes to the preferred host; each waits unless a host behind it"
    " takes it.",
    Finding.NONE: "all mail is deferred, whatever certificates the hosts have.",
}

_BY_CERTIFICATE = (
    "Only where Postfix asks the map named postfix, without TLSRPT attributes, does it compare the"
    " names in the certificate instead."
)


def _advice(fit: Fit) -> Advice:
    misfits = ", ".join(fit.misfits[:5])
    them = "it" if len(fit.misfits) == 1 else "them"
    return Advice(
        Who.OWNER,
        f"Add {misfits} to the policy (mx:) and give the TXT record a new id, or take {them} out of"
        " the MX records.",
        _RFC,
    )


def _facts(found: MailHosts, fit: Fit) -> list[Fact]:
    shown = [
        f"{each.host.preference} {each.host.name} "
        + (f"fits {each.pattern}" if each.fits else "fits no pattern")
        for each in fit.hosts[:SHOWN]
    ]
    if found.named is Named.DOMAIN:
        shown = [f"{text} (there is no MX record: the domain itself)" for text in shown]
    facts = [Fact.of("Mail hosts", *(shown or ["none"]))]
    if fit.idle and fit.hosts:
        facts.append(Fact.of("Patterns that no host fits", *fit.idle[:SHOWN]))
    return facts
