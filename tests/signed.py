"""A zone that the laboratory signs itself."""

from __future__ import annotations

from datetime import timedelta

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm, DSDigest

from tests.lab.answers import Answer, Question

_TOP = """
@ 300 IN SOA ns.lab.test. hostmaster.lab.test. 1 3600 600 86400 60
@ 300 IN NS ns.lab.test.
"""


class SignedRoot(Answer):
    """Every name of DNS in one zone, the root, signed with one key; empty until `publish`.

    `trust_anchor`: the DS record of the key.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._dnskey = dns.dnssec.make_dnskey(
            self._key.public_key(), Algorithm.ECDSAP256SHA256, flags=257
        )
        self.trust_anchor = f". DS {dns.dnssec.make_ds('.', self._dnskey, DSDigest.SHA256)}"
        self.publish("")

    def publish(self, records: str, *, forged: frozenset[str] = frozenset()) -> None:
        """Puts these records in place of the old ones: lines of a zone file, names absolute.

        `forged`: names whose records come with the signatures of others, as if somebody had
        changed them on the way.
        """
        self._zone = dns.zone.from_text(_TOP + records, origin=".", relativize=False)
        dns.dnssec.sign_zone(
            self._zone,
            keys=[(self._key, self._dnskey)],
            add_dnskey=True,
            dnskey_ttl=300,
            lifetime=int(timedelta(days=1).total_seconds()),
        )
        self._names = sorted(self._zone.nodes)
        self._forged = frozenset(map(dns.name.from_text, forged))

    def to(self, question: Question) -> dns.message.Message:
        reply = question.reply()
        name = dns.name.from_text(question.name)
        rdtype = dns.rdatatype.from_text(question.type)
        if self._add(reply.answer, name, rdtype):
            return reply
        if self._add(reply.answer, name, dns.rdatatype.CNAME):
            target = reply.answer[0][0].target
            self._add(reply.answer, target, rdtype)
            return reply
        if not any(known.is_subdomain(name) for known in self._names):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self._deny(reply, name)
        return reply

    def _add(
        self, section: list[dns.rrset.RRset], name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> bool:
        """Appends the records and their signatures, once; False where there are none."""
        records = self._zone.get_rrset(name, rdtype)
        if records is None:
            return False
        signed = dns.name.root if name in self._forged else name
        signatures = self._zone.get_rrset(signed, dns.rdatatype.RRSIG, rdtype)
        if records not in section:
            section.append(records)
        if signatures is not None and signatures not in section:
            section.append(signatures)
        return True

    def _deny(self, reply: dns.message.Message, name: dns.name.Name) -> None:
        """The proof that neither the name nor a wildcard for it has such records (RFC 4035)."""
        self._add(reply.authority, dns.name.root, dns.rdatatype.SOA)
        closest = name
        while not any(known.is_subdomain(closest) for known in self._names):
            closest = closest.parent()
        for denied in (name, dns.name.from_text("*", closest)):
            before = max(known for known in self._names if known <= denied)
            self._add(reply.authority, before, dns.rdatatype.NSEC)
