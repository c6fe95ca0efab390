"""The words of the pages: one word, one meaning.

Tests hold every mode, state, outcome and result type that pages show to have its place here.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.text import slugify


@dataclass(frozen=True, slots=True)
class Term:
    """A word, what it means here, and where it is defined (empty: by this product)."""

    word: str
    meaning: str
    source: str = ""

    @property
    def anchor(self) -> str:
        """Its place in the page's address."""
        return slugify(self.word)


@dataclass(frozen=True, slots=True)
class Group:
    """Words that belong together."""

    title: str
    terms: tuple[Term, ...]


GROUPS = (
    Group(
        "What a domain publishes",
        (
            Term(
                "policy domain",
                "The part of a mail address behind the @: whose policy it is.",
                "RFC 8461 section 1.1",
            ),
            Term(
                "record",
                "The TXT record at _mta-sts.DOMAIN. It says that there is a policy, and under"
                " which id.",
                "RFC 8461 section 3.1",
            ),
            Term(
                "record id",
                "The id in the record. A new one announces a new policy; ids have no order.",
                "RFC 8461 section 3.1",
            ),
            Term(
                "policy",
                "A short text, fetched over HTTPS from the policy host: what the domain asks of"
                " those who send mail to it.",
                "RFC 8461 section 3.2",
            ),
            Term(
                "policy host",
                "mta-sts.DOMAIN, the web server that the policy is fetched from.",
                "RFC 8461 section 3.3",
            ),
            Term(
                "mode",
                "What the policy asks for: enforce, testing or none.",
                "RFC 8461 section 5",
            ),
            Term(
                "enforce",
                "Deliver over verified TLS to a mail host that fits the policy, or not at all.",
                "RFC 8461 section 5",
            ),
            Term(
                "testing",
                "Deliver whatever happens, but tell the domain what would have failed. Postfix"
                " gets no answer for it, so nothing is enforced.",
                "RFC 8461 section 5",
            ),
            Term(
                "none",
                "The domain asks for nothing (any more). As an outcome, none yet: no mail server"
                " has asked for the domain.",
                "RFC 8461 section 5",
            ),
            Term(
                "max_age",
                "How long the policy may be kept after a fetch, in seconds; a year at most.",
                "RFC 8461 section 3.2",
            ),
            Term(
                "MX pattern",
                "A name that the domain's mail hosts have to have. A star stands for one label,"
                " the left-most.",
                "RFC 8461 section 4.1",
            ),
            Term(
                "extension",
                "A field of the policy that RFC 8461 does not know. It is kept and shown, and"
                " changes nothing.",
                "RFC 8461 section 3.2",
            ),
        ),
    ),
    Group(
        "What is cached",
        (
            Term("cached", "Held here: a row with a policy, valid or expired."),
            Term(
                "valid until",
                "The last fetch plus max_age. Until then the policy applies, whatever DNS or the"
                " policy host do.",
                "RFC 8461 section 3.2",
            ),
            Term(
                "expired",
                "Past its valid until. The policy counts as absent, but is remembered for a while.",
            ),
            Term(
                "last use",
                "When a mail server last asked for the policy. Refreshes, refetches and checks are"
                " no use.",
            ),
            Term("last update", "The last fetch that was stored, whether or not the text changed."),
            Term(
                "edited",
                "An operator wrote the text in the admin. It holds until the domain publishes a new"
                " record id, or somebody refetches.",
            ),
            Term(
                "backing off",
                "The fetch failed, and no policy is held. Nobody tries again for five minutes,"
                " unless the record id changes; mail goes out as without MTA-STS.",
                "RFC 8461 section 3.3",
            ),
            Term(
                "fallback",
                "Something failed, and the cached policy stayed in force: what a cache is for.",
                "RFC 8461 section 5.1",
            ),
        ),
    ),
    Group(
        "How a policy comes in",
        (
            Term(
                "lookup",
                "A question for a domain's policy: by a mail server, an operator or the refresh."
                " It is no TLS session: one lookup may serve many messages.",
            ),
            Term("fetch", "Getting a policy from its host, and how that ended."),
            Term(
                "refresh",
                "The periodic fetch of each policy in use: at half of its max_age, daily at the"
                " latest, whatever its record id says.",
                "RFC 8461 section 3.3",
            ),
            Term("refetch", "A fetch that an operator asked for, whatever the record id says."),
            Term(
                "state",
                "How far a piece of work is: queued, running, done. In the list's filter, what a"
                " row is at the moment.",
            ),
            Term("queued", "Asked for; no worker has taken it yet."),
            Term("running", "A worker is at it."),
            Term("done", "It has ended; whether well or not, the outcome says."),
            Term("stopped", "A job that somebody stopped. What it had done stays done."),
            Term("fetched", "A fetch that brought a policy; changed, if its text is another one."),
            Term("failed", "A fetch that brought no policy, though the domain has a record."),
            Term("no MTA-STS record", "There is no record, and no policy was held: nothing to do."),
            Term(
                "removed",
                "There is no record any more, and the row that backed off for the old one is gone.",
            ),
            Term(
                "lost",
                "A fetch whose worker was killed or never came. Nothing is wrong with the domain;"
                " refetch it.",
            ),
            Term(
                "job",
                "Many fetches as one piece of work, with progress and a stop: a round of the"
                " refresh, or a refetch of many.",
            ),
            Term(
                "mail host",
                "A host that takes the domain's mail, as its MX records name it; the domain itself"
                " where there are none. Under a policy its name has to fit an MX pattern.",
                "RFC 8461 section 4.1",
            ),
            Term(
                "MX check",
                "A look at DNS, daily for policies in use, that says which mail hosts fit the"
                " policy. A deferral is foretold from it.",
            ),
            Term(
                "trouble",
                "Something that will go wrong with mail unless somebody mends it; ranked by our own"
                " lookups.",
            ),
            Term(
                "check",
                "A look at any domain, step by step, that stores nothing unless asked.",
            ),
        ),
    ),
    Group(
        "How it ended",
        (
            Term(
                "outcome",
                "How a fetch or a lookup ended; of a lookup, in the terms of TLS reports.",
            ),
            Term(
                "TLSRPT",
                "Reports in which senders tell a domain how TLS to its mail hosts went.",
                "RFC 8460",
            ),
            Term("policy type", "Which kind of policy a lookup found.", "RFC 8460 section 4.4"),
            Term("sts", "Policy type: an MTA-STS policy applied.", "RFC 8460 section 4.4"),
            Term(
                "no-policy-found",
                "Policy type: the domain has no policy in force, and nothing failed.",
                "RFC 8460 section 4.4",
            ),
            Term(
                "result type",
                "The kind of failure, as reports have it.",
                "RFC 8460 section 4.3",
            ),
            Term(
                "sts-policy-fetch-error",
                "Result type: the record or the policy could not be had, or the record is broken.",
                "RFC 8460 section 4.3.2.2",
            ),
            Term(
                "sts-policy-invalid",
                "Result type: the policy was fetched and does not parse.",
                "RFC 8460 section 4.3.2.2",
            ),
            Term(
                "sts-webpki-invalid",
                "Result type: the policy host's certificate was refused.",
                "RFC 8460 section 4.3.2.2",
            ),
            Term(
                "reason code",
                "What exactly failed; free text of the sender, and so ours. Parts are joined by a"
                " plus sign.",
                "RFC 8460 section 4.4",
            ),
            Term("success", "A lookup that found a policy, or that there is none to be had."),
            Term("failure", "A lookup that found no policy because something failed."),
            Term(
                "our resolver",
                "Lookups that DNS failed at, with nothing cached. That may be our outage, so they"
                " are counted apart and enter no report.",
            ),
        ),
    ),
    Group(
        "Alerts",
        (
            Term(
                "alert",
                "A policy vanished or weakened without having been phased out. The cached one stays"
                " in force, whatever is alleged.",
                "RFC 8461 section 8.3",
            ),
            Term("suspected", "An alert that was seen, but not often or long enough to be sure."),
            Term("confirmed", "An alert that was seen three times over 24 hours."),
        ),
    ),
    Group(
        "What Postfix gets",
        (
            Term(
                "socketmap",
                "The protocol in which Postfix asks, once for each message.",
                "Postfix, socketmap_table(5)",
            ),
            Term(
                "OK secure",
                "Postfix is held to verified TLS, and to the names of the policy.",
                "Postfix, smtp_tls_policy_maps",
            ),
            Term(
                "NOTFOUND",
                "There is nothing to enforce: Postfix goes by its own settings.",
                "Postfix, socketmap_table(5)",
            ),
            Term("TEMP", "Not now: Postfix keeps the mail and tries later."),
            Term(
                "exception",
                "Postfix is told something else than what the domain publishes, for a while: skip"
                " (no policy), enforce (a policy that tests counts as enforce), pin (this policy"
                " text) or require (TLS where no policy enforces).",
            ),
            Term(
                "pause",
                "An exception for everything: no policy reaches Postfix, for 24 hours at most.",
            ),
            Term(
                "DANE",
                "TLS for mail by way of DNSSEC. Where it is proven for a domain it takes"
                " precedence over MTA-STS.",
                "RFC 7672",
            ),
        ),
    ),
    Group(
        "Names and times",
        (
            Term(
                "A-label",
                "A label of a name as DNS has it: xn--mnchen-3ya. Beside it stands the U-label,"
                " münchen.",
                "RFC 5890",
            ),
            Term("≈ (about)", "A count that is made now and then, as of the time that is given."),
            Term("UTC", "All times are in UTC. A day begins at midnight in UTC."),
        ),
    ),
)
