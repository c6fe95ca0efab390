"""Some forty made-up domains, one for each thing that can be seen on the pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tests.lab import answers, replies
from tests.lab.certificate import Certificate
from tests.lab.lab import Host, Lab

WEEK = 7 * 86400
Change = Callable[[Host], None]


def policy(mode: str, *mx: str, max_age: int = WEEK, more: str = "") -> str:
    """A policy text."""
    patterns = "".join(f"mx: {pattern}\n" for pattern in mx)
    return f"version: STSv1\nmode: {mode}\n{patterns}max_age: {max_age}\n{more}"


@dataclass(frozen=True)
class Demo:
    """A domain: what it publishes, what befell it, and how it changes while one looks.

    `ago`: when a mail server asked first, in the past of the demonstration. `then`: what happened
    to the domain after that. `later`: what happens every other minute. `mx`: its MX records,
    those that its policy names where none are given.
    """

    name: str
    text: str | None
    record_id: str | None = "20260801"
    certificate: Certificate = Certificate.GOOD
    behaviour: replies.Behaviour = field(default_factory=lambda: replies.GOOD)
    ago: timedelta | None = None
    then: Change | None = None
    later: Change | None = None
    mx: tuple[str, ...] = ()

    @property
    def mail_hosts(self) -> tuple[str, ...]:
        """Its MX records, in the text form of a zone file."""
        lines = (self.text or "").splitlines()
        patterns = [line.removeprefix("mx: ") for line in lines if line.startswith("mx: ")]
        hosts = [pattern.replace("*", "mx1") for pattern in patterns]
        return self.mx or tuple(f"{10 * at} {host}." for at, host in enumerate(hosts, 1))


def _publish(text: str, record_id: str) -> Change:
    return lambda host: host.publish(text, id=record_id)


def _answer(answer: answers.Answer) -> Change:
    def change(host: Host) -> None:
        host.txt = answer

    return change


def _behave(behaviour: replies.Behaviour) -> Change:
    def change(host: Host) -> None:
        host.behaviour = behaviour
        host.txt = answers.Records("v=STSv1; id=20261101;")

    return change


def _certify(certificate: Certificate) -> Change:
    def change(host: Host) -> None:
        host.certificate = certificate
        host.txt = answers.Records("v=STSv1; id=20261102;")

    return change


class _Flapping:
    """A policy that gets a new id, and another mode, each time."""

    def __init__(self) -> None:
        self._times = 0

    def __call__(self, host: Host) -> None:
        self._times += 1
        mode = ("testing", "enforce")[self._times % 2]
        host.publish(policy(mode, "mx.flapping.example"), id=f"2026110{self._times % 10}")


DAY = timedelta(days=1)


def _healthy() -> list[Demo]:
    return [
        Demo("example.org", policy("enforce", "mx1.example.org", "mx2.example.org"), ago=DAY),
        Demo("mail.example", policy("enforce", "*.mail.example"), ago=5 * DAY),
        Demo("xn--mnchen-3ya.example", policy("testing", "*.mx.example.net"), ago=2 * DAY),
        Demo("xn--zckzah.example", policy("enforce", "mx.xn--zckzah.example")),
        Demo("university.example", policy("enforce", "*.uni.example", max_age=31557600)),
        Demo("bank.example", policy("enforce", "mx-a.bank.example", "mx-b.bank.example")),
        Demo("city.example", policy("testing", "mail.city.example", max_age=86400)),
        Demo("shop.example", policy("enforce", "*.protection.example", max_age=604800)),
        Demo("clinic.example", policy("enforce", "*.protection.example", max_age=604800)),
        Demo("museum.example", policy("none", max_age=86400)),
        Demo("left.example", policy("none", "old.left.example", max_age=86400)),
        Demo("hourly.example", policy("enforce", "mx.hourly.example", max_age=3600)),
        Demo("fleeting.example", policy("enforce", "mx.fleeting.example", max_age=60)),
        Demo("now.example", policy("enforce", "mx.now.example", max_age=0)),
        Demo(
            "extended.example",
            policy("enforce", "mx.extended.example", more="contact: postmaster\nx-note: hello\n"),
        ),
        Demo(
            "very-long-name-of-an-organisation-that-has-thought-about-it.departments.example",
            policy("enforce", *(f"mx{n}.departments.example" for n in range(1, 13))),
        ),
        Demo(
            "hostile.example",
            policy(
                "enforce",
                "mx.hostile.example",
                more="x-note: <script>alert(1)</script>\nx-brace: } servername=evil {\n",
            ),
        ),
    ]


def _changing() -> list[Demo]:
    return [
        Demo("flapping.example", policy("enforce", "mx.flapping.example"), later=_Flapping()),
        Demo(
            "renewed.example",
            policy("testing", "mx.renewed.example"),
            ago=DAY,
            then=_publish(policy("enforce", "mx.renewed.example"), "20261120"),
        ),
        Demo("ending.example", policy("enforce", "mx.ending.example", max_age=86400),
             ago=0.9 * DAY),
        Demo("ended.example", policy("enforce", "mx.ended.example"), ago=9 * DAY,
             then=_answer(answers.NXDomain())),
        Demo("record-gone.example", policy("enforce", "mx.record-gone.example"), ago=2 * DAY,
             then=_answer(answers.NXDomain())),
        Demo("weakened.example", policy("enforce", "mx.weakened.example"), ago=4 * DAY,
             then=_publish(policy("testing", "mx.weakened.example"), "20261121")),
        Demo("record-broken.example", policy("enforce", "mx.record-broken.example"), ago=DAY,
             then=_answer(answers.Records("v=STSv1; id=not-allowed!;"))),
        Demo("record-twice.example", policy("enforce", "mx.record-twice.example"), ago=DAY,
             then=_answer(answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;"))),
        Demo("dns-down.example", policy("enforce", "mx.dns-down.example"), ago=DAY,
             then=_answer(answers.ServFail())),
        Demo("dnssec-broken.example", policy("enforce", "mx.dnssec-broken.example"), ago=DAY,
             then=_answer(answers.ServFail(ede=6))),
        Demo("host-down.example", policy("enforce", "mx.host-down.example"), ago=2 * DAY,
             then=_behave(replies.Serve(status=503))),
        Demo("certificate-lapsed.example", policy("enforce", "mx.certificate-lapsed.example"),
             ago=3 * DAY, then=_certify(Certificate.EXPIRED)),
    ]  # fmt: skip


def _misfitting() -> list[Demo]:
    return [
        Demo("moved-provider.example", policy("enforce", "mx.moved-provider.example"),
             mx=("10 in1.new-hoster.example.", "20 in2.new-hoster.example.")),
        Demo("new-relay.example", policy("enforce", "*.new-relay.example", "old.relay.example"),
             mx=("10 filter.shield.example.", "20 mx1.new-relay.example.")),
        Demo("trial.example", policy("testing", "mail.trial.example"),
             mx=("10 mx.trial.example.",)),
        Demo("takes-no-mail.example", policy("enforce", "mx.takes-no-mail.example"), mx=("0 .",)),
    ]  # fmt: skip


def _failing() -> list[Demo]:
    text = policy("enforce", "mx.example")
    return [
        Demo("no-policy.example", None),
        Demo("expired-certificate.example", text, certificate=Certificate.EXPIRED),
        Demo("future-certificate.example", text, certificate=Certificate.NOT_YET_VALID),
        Demo("self-signed.example", text, certificate=Certificate.SELF_SIGNED),
        Demo("wrong-name.example", text, certificate=Certificate.WRONG_NAME),
        Demo("unknown-ca.example", text, certificate=Certificate.UNKNOWN_CA),
        Demo("server-error.example", text, behaviour=replies.Serve(status=500)),
        Demo("redirecting.example", text, behaviour=replies.redirect("https://www.example/")),
        Demo("html.example", "<!doctype html>\n<title>Welcome</title>\n",
             behaviour=replies.Serve(content_type="text/html")),
        Demo("typo.example", "version: STSv1\nmode: enforced\nmx: mx.typo.example\nmax_age: 1\n"),
        Demo("reset.example", text, behaviour=replies.Reset("handshake")),
        Demo("slow.example", text, behaviour=replies.Drip("body")),
        Demo("two-records.example", text, record_id=None,
             then=_answer(answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;"))),
        Demo("no-record.example", None, record_id=None),
    ]  # fmt: skip


DOMAINS: tuple[Demo, ...] = (*_healthy(), *_changing(), *_misfitting(), *_failing())


def publish(lab: Lab) -> None:
    """Put all of them into the laboratory, as they are before anything befalls them."""
    for demo in DOMAINS:
        host = lab.domain(
            demo.name,
            demo.text,
            id=demo.record_id,
            certificate=demo.certificate,
            behaviour=demo.behaviour,
        )
        if demo.mail_hosts:
            host.mx = answers.Records(*demo.mail_hosts)
