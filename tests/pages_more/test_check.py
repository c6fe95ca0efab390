"""`/check/`: every way in which a lookup can end, over real DNS and HTTPS, in the page's words."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from django.core.cache import cache as kept
from django.test import Client
from django.utils import timezone

from mtastsweb.environment import OnDANE, OnDNSError
from mtastsweb.values import nameserver
from policies import cache
from policies.check import runs
from policies.models import Fetch, PolicyException, PolicyRecord
from policies.mtasts import parse_policy
from tests.lab import answers, replies
from tests.lab.certificate import Certificate
from tests.pages.conftest import As, someone
from tests.worlds import NOON

if TYPE_CHECKING:
    from tests.lab.lab import Host, Lab

pytestmark = pytest.mark.django_db

DOMAIN = "example.test"
POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 604800\n"
HOST = "whoever runs the policy host"
OWNER = "the domain's owner, in its DNS zone"
EITHER = "the domain's owner, or us if other domains fail as well"
US = "us, on this machine or in its network"


Change = Callable[..., None]


@pytest.fixture(autouse=True)
def laboratory(lab: Lab, change_environment: Change) -> Iterator[None]:
    """The product asks the laboratory, and no check outlives its test."""
    change_environment(
        nameservers=(nameserver(lab.nameserver),),
        ca_file=Path(lab.ca_file),
        policy_port=lab.policy_port,
        allow_private_addresses=True,
        dns_timeout=5.0,
        fetch_timeout=5.0,
    )
    kept.clear()
    yield
    wait_for_checks()


def wait_for_checks() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("check "):
            thread.join(20)


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.domain(DOMAIN, POLICY)
    host.mx = answers.Records("10 mx.example.test.")
    return host


@pytest.fixture
def operator(as_: As) -> Client:
    return as_("operator")


def checked(client: Client, domain: str = DOMAIN) -> str:
    """The page of a check that has ended, as text."""
    answer = client.post("/check/", {"domain": domain})
    assert answer.status_code == 303, answer.content.decode()
    wait_for_checks()
    page = client.get(answer.headers["Location"])
    assert page.status_code == 200
    return text_of(page.content.decode())


def text_of(page: str) -> str:
    main = page.partition("<main")[2].partition("</main>")[0]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)))


class TestAWorkingDomain:
    def test_shows_every_step_and_what_postfix_gets(self, host: Host, operator: Client) -> None:
        page = checked(operator)
        for words in (
            f"Asked for _mta-sts.{DOMAIN}. TXT",
            'Answer "v=STSv1; id=1;"',
            "TTL 300 s",
            "DNSSEC not proven",
            "Id 1",
            "Addresses 127.",
            "Issuer Laboratory root",
            f"Names mta-sts.{DOMAIN}",
            "Status 200",
            "Content-Type text/plain",
            "MX patterns mx.example.test",
            "max_age 604800 s",
            f"{DOMAIN} enforces MTA-STS: mail to it is delivered only over TLS",
            "Nothing valid is cached",
            "postfix OK secure match=mx.example.test servername=hostname",
            "policy_type=sts policy_domain=example.test mx_host_pattern=mx.example.test",
            " { policy_string = version: STSv1 } { policy_string = mode: enforce }",
            '"policy-type": "sts"',
        ):
            assert words in page, words

    def test_stores_nothing(self, host: Host, operator: Client) -> None:
        checked(operator)
        assert not PolicyRecord.objects.exists()
        assert not Fetch.objects.exists()

    @pytest.mark.parametrize(
        ("mode", "verdict", "reply"),
        [
            ("testing", "tests MTA-STS", "postfix NOTFOUND"),
            ("none", "has ended its use of MTA-STS (mode none)", "postfix NOTFOUND"),
        ],
    )
    def test_says_what_a_mode_means(
        self, host: Host, operator: Client, mode: str, verdict: str, reply: str
    ) -> None:
        host.publish(POLICY.replace("enforce", mode), id="2")
        page = checked(operator)
        assert verdict in page
        assert reply in page

    def test_warns_of_what_is_allowed_but_no_good(self, host: Host, operator: Client) -> None:
        host.publish(POLICY.replace("mx.example.test", "192.0.2.1"), id="2")
        page = checked(operator)
        assert "192.0.2.1 is shaped like an IP address and matches no mail host" in page
        assert "postfix TEMP policy names no usable MX host" in page

    def test_follows_an_alias(self, lab: Lab, host: Host, operator: Client) -> None:
        lab.domain("other.test", POLICY)
        host.txt = None
        lab.zone[f"_mta-sts.{DOMAIN}", "*"] = answers.CNAME("_mta-sts.other.test", ttl=60)
        page = checked(operator)
        assert "Alias of _mta-sts.other.test" in page
        assert "TTL 60 s" in page

    def test_shows_markup_as_text(self, host: Host, operator: Client) -> None:
        host.policy = "version: STSv1\nmode: <script>alert(1)</script>\n"
        answer = operator.post("/check/", {"domain": DOMAIN})
        checked(operator)
        page = operator.get(answer.headers["Location"]).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def _txt(answer: answers.Answer) -> Callable[[Host], None]:
    def break_(host: Host) -> None:
        host.txt = answer

    return break_


def _behave(behaviour: replies.Behaviour) -> Callable[[Host], None]:
    def break_(host: Host) -> None:
        host.behaviour = behaviour

    return break_


def _show(certificate: Certificate) -> Callable[[Host], None]:
    def break_(host: Host) -> None:
        host.certificate = certificate

    return break_


def _serve(text: str | None) -> Callable[[Host], None]:
    def break_(host: Host) -> None:
        host.policy = text

    return break_


def _resolve_to(*addresses: str) -> Callable[[Host], None]:
    def break_(host: Host) -> None:
        host.resolve_to(*addresses)

    return break_


def _a(answer: answers.Answer) -> Callable[[Host], None]:
    def break_(host: Host) -> None:
        host.a = host.aaaa = answer

    return break_


FAILURES: dict[str, tuple[Callable[[Host], None], str, str, str, str]] = {
    # name: (what breaks, what is wrong, who, what to do, RFC)
    "no record": (
        _txt(answers.NXDomain()),
        "No TXT record begins 'v=STSv1;'",
        OWNER,
        "Publish one TXT record at _mta-sts",
        "RFC 8461 section 3.1",
    ),
    "two records": (
        _txt(answers.Records("v=STSv1; id=1;", "v=STSv1; id=2;")),
        "2 TXT records begin 'v=STSv1;'; expected exactly one",
        OWNER,
        "Leave one TXT record that begins v=STSv1; and take the others away.",
        "RFC 8461 section 3.1",
    ),
    "broken record": (
        _txt(answers.Records("v=STSv1; id=not-allowed!;")),
        "Expected an id of 1 to 32 letters and digits, found 'not-allowed!'",
        OWNER,
        "Correct the TXT record",
        "RFC 8461 section 3.1",
    ),
    "servfail": (
        _txt(answers.ServFail()),
        f"No answer to _mta-sts.{DOMAIN}. TXT: servfail",
        EITHER,
        "See whether the zone's nameservers answer",
        "RFC 8461 section 3.1",
    ),
    "bogus": (
        _txt(answers.ServFail(ede=6)),
        "servfail",
        OWNER,
        "DNSSEC validation fails",
        "RFC 8914 section 4",
    ),
    "refused": (
        _txt(answers.Fails("REFUSED")),
        "refused",
        US,
        "See whether the resolver works",
        "RFC 8461 section 3.1",
    ),
    "no policy host": (
        _resolve_to(),
        f"mta-sts.{DOMAIN} has no address",
        HOST,
        "or take the TXT record away",
        "RFC 8461 section 3.3",
    ),
    "policy host's DNS": (
        _a(answers.ServFail()),
        "servfail",
        EITHER,
        "See whether the nameservers answer for the policy host's name.",
        "RFC 8461 section 3.3",
    ),
    "404": (
        _serve(None),
        "the policy host answers 404",
        HOST,
        "Serve the policy at /.well-known/mta-sts.txt",
        "RFC 8461 section 3.3",
    ),
    "500": (
        _behave(replies.Serve(status=500)),
        "the policy host answers 500",
        HOST,
        "See why the web server fails.",
        "RFC 8461 section 3.3",
    ),
    "403": (
        _behave(replies.Serve(status=403)),
        "the policy host answers 403",
        HOST,
        "Serve the policy with status 200 to whoever asks.",
        "RFC 8461 section 3.3",
    ),
    "redirect": (
        _behave(replies.redirect("https://www.example.test/")),
        "the policy host redirects (301)",
        HOST,
        "redirects are not followed",
        "RFC 8461 section 3.3",
    ),
    "media type": (
        _behave(replies.Serve(content_type="text/html")),
        "the Content-Type is 'text/html'",
        HOST,
        "Serve the policy as Content-Type: text/plain.",
        "RFC 8461 section 3.2",
    ),
    "too large": (
        _serve(replies.policy_of_size(65537, POLICY)),
        "the policy has more than 65536 octets",
        HOST,
        "Serve a policy of less than 64 KiB.",
        "RFC 8461 section 3.3",
    ),
    "cut short": (
        _behave(replies.Serve(framing="cut")),
        "Cannot fetch policy: policy was cut short",
        HOST,
        "send all of the policy",
        "RFC 8461 section 3.3",
    ),
    "expired": (
        _show(Certificate.EXPIRED),
        "certificate has expired",
        HOST,
        "Renew the certificate.",
        "RFC 8461 section 3.3",
    ),
    "not yet valid": (
        _show(Certificate.NOT_YET_VALID),
        "certificate is not yet valid",
        HOST,
        "see whether our clock is right",
        "RFC 8461 section 3.3",
    ),
    "wrong name": (
        _show(Certificate.WRONG_NAME),
        "Hostname mismatch",
        HOST,
        "Get a certificate that names the policy host",
        "RFC 8461 section 3.3",
    ),
    "unknown CA": (
        _show(Certificate.UNKNOWN_CA),
        "unable to get local issuer certificate",
        HOST,
        "send the intermediate certificates",
        "RFC 8461 section 3.3",
    ),
    "self-signed": (
        _show(Certificate.SELF_SIGNED),
        "self-signed certificate",
        HOST,
        "Get a certificate for server authentication from a trusted authority.",
        "RFC 8461 section 3.3",
    ),
    "no TLS": (
        _behave(replies.PlainHTTP()),
        "Cannot fetch policy: policy host does not speak TLS",
        HOST,
        "Switch TLS on at that port",
        "RFC 8461 section 3.3",
    ),
    "old TLS": (
        _behave(replies.OldTLS()),
        "Cannot fetch policy: TLS fails here: unsupported protocol",
        HOST,
        "offer TLS 1.2 or later",
        "RFC 8461 section 7.2",
    ),
    "reset": (
        _behave(replies.Reset("accept")),
        "Cannot fetch policy: connection closed in the TLS handshake",
        HOST,
        "See why the web server of the policy host breaks off connections.",
        "RFC 8461 section 3.3",
    ),
    "syntax": (
        _serve("version: STSv1\nmode: enforced\nmx: mx.example.test\nmax_age: 1\n"),
        "Expected 'enforce', 'testing' or 'none' for 'mode', found 'enforced'",
        HOST,
        "Correct the marked line of the policy",
        "RFC 8461 section 3.2",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_it_is_and_who_can_mend_it(
    name: str, host: Host, operator: Client
) -> None:
    break_, wrong, who, todo, rfc = FAILURES[name]
    break_(host)
    page = checked(operator)
    assert wrong in page
    assert f"Can be mended by {who}" in page
    assert todo in page
    assert rfc in page


def test_every_failure_has_its_result_type_and_reason_beside_it(
    host: Host, operator: Client
) -> None:
    host.certificate = Certificate.EXPIRED
    page = checked(operator)
    assert "In TLS reports sts-webpki-invalid: certificate-expired" in page
    assert '"failure-reason-code": "certificate-expired"' in page
    assert "it cannot be used: policy host's certificate has expired" in page


def test_a_refused_certificate_is_shown(host: Host, operator: Client) -> None:
    host.certificate = Certificate.WRONG_NAME
    assert "Names another-host.test" in checked(operator)


def test_a_line_that_does_not_parse_is_marked(host: Host, operator: Client) -> None:
    host.policy = "version: STSv1\nmode: enforced\n"
    checked(operator)
    answer = operator.post("/check/", {"domain": DOMAIN})
    checked(operator)
    page = operator.get(answer.headers["Location"]).content.decode()
    assert '<span class="line bad">mode: enforced' in page


def test_private_addresses_are_guarded_as_for_any_fetch(
    lab: Lab, host: Host, operator: Client, change_environment: Change
) -> None:
    change_environment(allow_private_addresses=False)
    page = checked(operator)
    assert "(private or reserved: not connected to)" in page
    assert "which is not on the public Internet" in page
    assert f"Can be mended by {OWNER}" in page
    assert lab.connections.total() == 0


def test_a_refused_connection_is_told_at_its_step(lab: Lab, host: Host, operator: Client) -> None:
    host.resolve_to(lab.closed_address)
    page = checked(operator)
    assert "Connection failed" in page
    assert "Have a web server listen for HTTPS" in page


class TestMailHosts:
    def test_that_fit(self, host: Host, operator: Client) -> None:
        page = checked(operator)
        assert "Mail hosts all fit" in page
        assert "10 mx.example.test fits mx.example.test" in page

    @pytest.mark.parametrize(
        ("mode", "records", "words"),
        [
            (
                "enforce",
                ["10 mx.example.net."],
                [
                    "fails",
                    "none of its mail hosts fits the policy: mail to it is deferred",
                    "none fits",
                    "Add mx.example.net to the policy (mx:)",
                    "10 mx.example.net fits no pattern",
                    "Patterns that no host fits mx.example.test",
                ],
            ),
            (
                "enforce",
                ["10 mx.example.net.", "20 mx.example.test."],
                [
                    "in order, but",
                    "the preferred one does not fit",
                    "its preferred mail host fits no",
                ],
            ),
            (
                "enforce",
                ["10 mx.example.test.", "20 mx.example.net."],
                ["in order", "some do not fit", "the others are passed over"],
            ),
            (
                "testing",
                ["10 mx.example.net."],
                ["tests MTA-STS", "Mail goes out all the same while the policy is tested."],
            ),
            ("enforce", ["0 ."], ["takes no mail", "RFC 7505"]),
        ],
    )
    def test_that_do_not(
        self, host: Host, operator: Client, mode: str, records: list[str], words: list[str]
    ) -> None:
        host.publish(POLICY.replace("enforce", mode), id="2")
        host.mx = answers.Records(*records)
        page = checked(operator)
        for each in words:
            assert each in page, (each, page)

    def test_that_dns_does_not_name(self, host: Host, operator: Client) -> None:
        host.mx = answers.ServFail()
        page = checked(operator)
        assert "Whether mail gets through cannot be said" in page
        assert f"{DOMAIN} enforces MTA-STS: mail to it is delivered only over TLS" in page

    def test_that_are_the_domain_itself(self, host: Host, operator: Client) -> None:
        host.mx = None
        assert f"0 {DOMAIN} fits no pattern (there is no MX record: the domain" in checked(operator)

    def test_that_do_not_matter(self, lab: Lab, operator: Client) -> None:
        lab.domain(DOMAIN, None, id=None)
        assert "not asked; they matter where there is a policy" in checked(operator)


class TestBesideTheCache:
    def test_a_cached_policy_is_shown_beside_a_fetch_that_fails(
        self, host: Host, operator: Client
    ) -> None:
        cache.upsert(DOMAIN, "0", parse_policy(POLICY), POLICY)
        host.behaviour = replies.Serve(status=500)
        page = checked(operator)
        assert "A policy of mode enforce is cached until" in page
        assert "postfix NOTFOUND OK secure match=mx.example.test" in page
        assert "cannot-fetch-policy+http-status-500+fallback-to-cached-policy" in page

    def test_an_edited_policy_gives_no_attributes(self, host: Host, operator: Client) -> None:
        cache.upsert(DOMAIN, "1", parse_policy(POLICY), POLICY)
        PolicyRecord.objects.update(edited=timezone.now())
        page = checked(operator)
        assert "as an operator wrote it," in page
        assert (
            "postfix-tlsrpt OK secure match=mx.example.test servername=hostname policy_type" in page
        )
        assert page.count("policy_type=sts") == 1

    def test_a_back_off_is_told(self, host: Host, operator: Client) -> None:
        cache.upsert(DOMAIN, "1", None)
        page = checked(operator)
        assert "The cache backs off until" in page
        assert "postfix OK secure match=mx.example.test servername=hostname NOTFOUND" in page


@pytest.mark.parametrize(
    ("setting", "ede", "reply"),
    [
        (OnDNSError.NOTFOUND, 6, "postfix NOTFOUND"),
        (OnDNSError.TEMP, None, "postfix TEMP the MTA-STS record cannot be looked up"),
        (OnDNSError.CAREFUL, None, "postfix NOTFOUND"),
        (OnDNSError.CAREFUL, 6, "postfix TEMP the MTA-STS record cannot be looked up"),
    ],
)
def test_postfix_gets_what_the_setting_says_where_dns_fails(
    host: Host,
    operator: Client,
    change_environment: Change,
    setting: OnDNSError,
    ede: int | None,
    reply: str,
) -> None:
    change_environment(socketmap_on_dns_error=setting)
    host.txt = answers.ServFail(ede=ede)
    page = checked(operator)
    assert reply in page
    assert "nobody can tell now whether example.test uses MTA-STS" in page
    assert "it may be our resolver that fails" in page
    assert ("Extended error 6 dnssec-bogus" in page) == (ede == 6)


@pytest.mark.parametrize(
    ("setting", "is_later_another"), [(OnDNSError.CAREFUL, True), (OnDNSError.TEMP, False)]
)
def test_what_postfix_gets_after_a_day_of_failing_dns_is_told_beside_it(
    host: Host,
    operator: Client,
    change_environment: Change,
    setting: OnDNSError,
    is_later_another: bool,
) -> None:
    change_environment(socketmap_on_dns_error=setting)
    host.txt = answers.ServFail(ede=6)
    page = checked(operator)
    assert "postfix TEMP the MTA-STS record cannot be looked up" in page
    later = "once DNS has failed for 24 hours: NOTFOUND"
    assert (later in page) == is_later_another


class TestListedForDANE:
    """The socketmap answers NOTFOUND for a domain of MTASTS_DANE_DOMAINS before all else."""

    @pytest.fixture(autouse=True)
    def _listed(self, change_environment: Change, tmp_path: Path) -> None:
        path = tmp_path / "dane"
        path.write_text(f"{DOMAIN}\n")
        change_environment(dane_domains_file=path, socketmap_on_dns_error=OnDNSError.TEMP)

    def test_it_is_so_where_dns_fails(self, host: Host, operator: Client) -> None:
        host.txt = answers.ServFail(ede=6)
        page = checked(operator)
        assert "postfix NOTFOUND the same postfix-tlsrpt NOTFOUND the same" in page
        assert "in the file of MTASTS_DANE_DOMAINS" in page
        assert "TEMP" not in page

    def test_it_is_so_where_a_policy_enforces(self, host: Host, operator: Client) -> None:
        page = checked(operator)
        assert "postfix NOTFOUND the same" in page
        assert "is left to DANE here" in page

    def test_no_exception_counts(self, host: Host, operator: Client) -> None:
        PolicyException.objects.create(
            scope="domain", target=DOMAIN, action="require", level="encrypt", reason="r",
            owner="o", since=NOON,
        )  # fmt: skip
        page = checked(operator)
        assert "postfix NOTFOUND the same" in page
        assert "An exception counts" not in page


def test_dane_has_precedence(lab: Lab, host: Host, operator: Client) -> None:
    proven = {"authenticated": True}
    lab.zone[DOMAIN, "MX"] = answers.Records("10 mx.example.test.", **proven)
    lab.zone["mx.example.test", "A"] = answers.Records("127.0.0.1", **proven)
    digest = "ab" * 32
    lab.zone["_25._tcp.mx.example.test", "TLSA"] = answers.Records(f"3 1 1 {digest}", **proven)
    page = checked(operator)
    assert "DANE has precedence" in page
    assert "Postfix verifies by TLSA" in page
    assert "postfix NOTFOUND" in page


def test_without_dane_the_policy_is_answered(
    lab: Lab, host: Host, operator: Client, change_environment: Change
) -> None:
    change_environment(socketmap_dane=OnDANE.OFF)
    assert "postfix OK secure match=mx.example.test" in checked(operator)


class TestForm:
    def test_a_link_fills_the_form_and_asks_nothing(self, lab: Lab, operator: Client) -> None:
        page = operator.get("/check/?domain=example.test").content.decode()
        assert 'value="example.test"' in page
        assert lab.queries.count() == 0

    @pytest.mark.parametrize(
        "typed", ["", "user@example.org", "[192.0.2.1]", "a b", "\0", "x" * 400]
    )
    def test_what_is_no_domain_is_refused_with_the_reason(
        self, operator: Client, typed: str
    ) -> None:
        answer = operator.post("/check/", {"domain": typed})
        assert answer.status_code == 200
        assert "This is no domain name:" in answer.content.decode()

    def test_both_forms_of_an_international_name_are_shown(
        self, lab: Lab, operator: Client
    ) -> None:
        lab.domain("xn--bcher-kva.test", POLICY)
        page = checked(operator, "Bücher.test")
        assert "bücher.test" in page
        assert "xn--bcher-kva.test" in page

    def test_storing_it_is_an_operators_refetch(self, host: Host, operator: Client) -> None:
        assert "Store it" in checked(operator)
        answer = operator.post("/check/store/", {"domain": DOMAIN})
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/fetches/?domain={DOMAIN}"
        fetch = Fetch.objects.get()
        assert (fetch.domain, fetch.source, fetch.state) == (DOMAIN, "operator", "queued")
        operator.post("/check/store/", {"domain": DOMAIN})
        assert Fetch.objects.count() == 1

    def test_nothing_is_offered_to_be_stored_without_a_record(
        self, lab: Lab, operator: Client
    ) -> None:
        assert "Store it" not in checked(operator, "absent.test")

    def test_storing_what_is_no_domain_is_refused(self, operator: Client) -> None:
        answer = operator.post("/check/store/", {"domain": "no domain"})
        assert "Nothing was stored." in answer.content.decode()

    def test_without_trusted_roots_it_says_so(
        self, operator: Client, change_environment: Change
    ) -> None:
        change_environment(ca_file=Path("/dev/null"))
        answer = operator.post("/check/", {"domain": DOMAIN})
        assert "Nothing was asked: the file of trusted roots" in answer.content.decode()


class TestRuns:
    def test_steps_are_seen_as_they_come(self, lab: Lab, host: Host, operator: Client) -> None:
        gate = lab.gate()
        host.behaviour = replies.Held(gate, replies.GOOD)
        answer = operator.post("/check/", {"domain": DOMAIN})
        address = answer.headers["Location"]
        page = ""
        while "Addresses" not in page:
            page = operator.get(address).content.decode()
        assert "hx-get=" in page
        assert "running" in page
        assert '<meta http-equiv="refresh"' in page
        gate.open()
        assert "enforces MTA-STS" in checked(operator)
        ended = operator.get(address).content.decode()
        assert "hx-get=" not in ended
        assert "http-equiv" not in ended

    def test_a_double_click_begins_one_check(self, lab: Lab, host: Host, operator: Client) -> None:
        gate = lab.gate()
        host.txt = answers.Held(gate, answers.Records("v=STSv1; id=1;"))
        first, second = (operator.post("/check/", {"domain": DOMAIN}) for _ in range(2))
        assert first.headers["Location"] == second.headers["Location"]
        gate.open()

    def test_too_many_at_a_time_are_refused(
        self, lab: Lab, operator: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs, "_places", threading.BoundedSemaphore(1))
        gate = lab.gate()
        lab.domain("slow.test", POLICY).txt = answers.Held(gate, answers.Records("v=STSv1; id=1;"))
        operator.post("/check/", {"domain": "slow.test"})
        answer = operator.post("/check/", {"domain": DOMAIN})
        assert "checks run already" in answer.content.decode()
        gate.open()

    def test_is_seen_by_whoever_asked_and_nobody_else(
        self,
        host: Host,
        operator: Client,
        as_: As,
    ) -> None:
        address = operator.post("/check/", {"domain": DOMAIN}).headers["Location"]
        other = as_("administrator").get(address)
        assert other.status_code == 404
        assert "This check is not kept any more" in other.content.decode()

    def test_one_that_is_gone_says_so_to_its_page_too(self, operator: Client) -> None:
        address = "/check/8e1b4a2e-0000-4000-8000-000000000000/?domain=example.test"
        polled = operator.get(address, headers={"hx-request": "true"})
        assert polled.status_code == 200
        assert 'value="example.test"' in polled.content.decode()

    def test_one_whose_process_was_stopped_is_told_lost(self, host: Host, operator: Client) -> None:
        address = operator.post("/check/", {"domain": DOMAIN}).headers["Location"]
        checked(operator)
        owner = someone("operator").pk
        run_id = address.split("/")[2]
        run = runs.find(run_id, owner)
        assert run is not None
        lost = runs.Run(run.id, run.domain, run.begun, run.begun)
        kept.set(f"check:{owner}:{run_id}", lost)
        assert "The web server was stopped before the check had ended" in text_of(
            operator.get(address).content.decode()
        )


@pytest.mark.parametrize(
    ("fields", "said", "reply"),
    [
        ({"action": "skip"}, "skip for example.test", "postfix NOTFOUND"),
        (
            {"action": "pin", "policy_text": POLICY.replace("mx.example", "mx.pinned")},
            "pin for example.test",
            "postfix OK secure match=mx.pinned.test servername=hostname",
        ),
        (
            {"action": "skip", "scope": "mx", "target": "*.example.test"},
            "skip for *.example.test",
            "postfix NOTFOUND",
        ),
        (
            {"action": "require", "level": "encrypt"},
            "require for example.test",
            "postfix OK secure match=mx.example.test",
        ),
    ],
)
def test_an_exception_is_told_and_the_reply_is_the_one_under_it(
    fields: dict[str, str], said: str, reply: str, host: Host, operator: Client
) -> None:
    given = {"scope": "domain", "target": DOMAIN, "reason": "ticket 42", "owner": "op"} | fields
    PolicyException.objects.create(since=NOON, **given)
    page = checked(operator)
    assert f"An exception counts: {said}, without end, of op: ticket 42" in page
    assert reply in page
    assert '"policy-type": "sts"' in page, "what is reported is the truth"


def test_a_requirement_is_told_for_a_domain_without_a_policy(host: Host, operator: Client) -> None:
    host.txt = None
    PolicyException.objects.create(
        scope="suffix", target=".test", action="require", level="secure", match=["nexthop"],
        reason="r", owner="o", since=NOON,
    )  # fmt: skip
    assert "postfix OK secure match=nexthop servername=hostname" in checked(operator)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 200)])
def test_checking_is_for_operators(as_: As, role: str, status: int) -> None:
    assert as_(role).get("/check/").status_code == status


def test_a_page_asks_the_database_the_same_however_much_is_found(
    host: Host, operator: Client, django_assert_num_queries: Callable[..., object]
) -> None:
    address = operator.post("/check/", {"domain": DOMAIN}).headers["Location"]
    checked(operator)
    with django_assert_num_queries(6):  # session, user, two of permissions, the row, the pause
        operator.get(address)
