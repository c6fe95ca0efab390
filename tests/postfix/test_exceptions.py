"""A real Postfix under exceptions: asked within a second, and with mail on its way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.lab.certificate import Certificate
from tests.postfix.needs import POSTFIX
from tests.postfix.product import manage, migrated, socketmap
from tests.postfix.rig import policy

if TYPE_CHECKING:
    from tests.postfix.rig import Rig
    from tests.postfix.system import Postfix

pytestmark = POSTFIX

WITHIN = 1.0
"""Seconds from saving to Postfix's answer."""

LIFE = 12.0
"""Seconds of an exception that ends by itself."""


class Excepting(NamedTuple):
    """A product of its own, and a Postfix that asks it."""

    environment: dict[str, str]
    product: str
    postfix: Postfix

    def command(self, *words: str) -> None:
        manage("mtasts", "exception", *words, environment=self.environment)

    def add(self, *words: str) -> None:
        self.command("add", *words, "--reason", "a test")

    def asked(self, key: str, name: str = "postfix") -> str:
        """What Postfix makes of the answer; empty where nothing was found."""
        answer = self.postfix.postmap(key, f"socketmap:{self.product}:{name}")
        assert answer.stderr == ""
        return answer.stdout.strip()

    def becomes(self, key: str, expected: str) -> bool:
        """Whether Postfix gets `expected` within a second from now on."""
        give_up = time.monotonic() + WITHIN
        while time.monotonic() < give_up:
            if self.asked(key) == expected:
                return True
        return False


@pytest.fixture(scope="module")
def excepting(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Excepting]:
    environment = migrated(tmp_path_factory.mktemp("excepting")) | rig.lab.settings()
    with socketmap(environment) as address:
        parameters = {
            "smtp_tls_security_level": "may",
            "smtp_tls_policy_maps": f"socketmap:{address}:postfix",
        }
        with rig.postfix(parameters) as postfix:
            yield Excepting(environment, address, postfix)


def test_a_broken_certificate_is_passed_over_and_then_no_longer(
    rig: Rig, excepting: Excepting
) -> None:
    domain = rig.domain("skip.test", policy("mx.skip.test"), certificate=Certificate.EXPIRED)
    secure = "secure match=mx.skip.test servername=hostname"
    assert excepting.asked(domain) == secure
    assert "dsn=4.7.5" in excepting.postfix.send(f"first@{domain}")
    excepting.add(domain, "--action", "skip")
    assert excepting.becomes(domain, "")
    assert "status=sent" in excepting.postfix.send(f"second@{domain}")
    excepting.command("remove", domain)
    assert excepting.becomes(domain, secure)
    assert "dsn=4.7.5" in excepting.postfix.send(f"third@{domain}")


def test_an_exception_is_over_at_its_end_without_a_hand(rig: Rig, excepting: Excepting) -> None:
    domain = rig.domain("ends.test", policy("mx.ends.test"), certificate=Certificate.EXPIRED)
    secure = "secure match=mx.ends.test servername=hostname"
    assert excepting.asked(domain) == secure
    before = time.monotonic()
    excepting.add(domain, "--action", "skip", "--hours", f"{LIFE / 3600:.9f}")
    after = time.monotonic()
    assert excepting.becomes(domain, "")
    assert "status=sent" in excepting.postfix.send(f"first@{domain}")
    asked = 0
    while time.monotonic() < before + LIFE - 0.5:
        assert excepting.asked(domain) == ""
        asked += 1
    assert asked, "the mail was on its way for as long as the exception"
    time.sleep(after + LIFE - time.monotonic())
    assert excepting.becomes(domain, secure)
    assert "dsn=4.7.5" in excepting.postfix.send(f"second@{domain}")


def test_an_mx_pattern_is_passed_over_for_all_who_have_it(rig: Rig, excepting: Excepting) -> None:
    for name in ("mx-one.test", "mx-two.test"):
        rig.domain(
            name, policy("*.provider.test"), mx=f"{name.removesuffix('.test')}.provider.test"
        )
        assert excepting.asked(name) == "secure match=.provider.test servername=hostname"
    excepting.add("--mx", "*.provider.test", "--action", "skip")
    assert excepting.becomes("mx-one.test", "")
    assert excepting.asked("mx-two.test") == ""
    excepting.command("remove", "--mx", "*.provider.test")


@pytest.mark.parametrize(
    ("certificate", "match", "outcome"),
    [
        (Certificate.GOOD, ["mx.{}"], "status=sent"),
        (Certificate.GOOD, [".{}"], "status=sent"),
        (Certificate.GOOD, ["dot-nexthop"], "status=sent"),
        (Certificate.GOOD, ["mx.other.test"], "dsn=4.7.5"),
        (Certificate.SELF_SIGNED, ["mx.{}"], "dsn=4.7.5"),
        (Certificate.SELF_SIGNED, [], "status=sent"),
    ],
)
def test_tls_is_required_where_there_is_no_policy(
    certificate: Certificate, match: list[str], outcome: str, rig: Rig, excepting: Excepting
) -> None:
    number = len(excepting.postfix.log.matching("status="))
    domain = rig.domain(f"require{number}.test", None, certificate=certificate)
    level = ["--level", "secure", "--match"] if match else ["--level", "encrypt"]
    names = [name.format(domain) for name in match]
    excepting.add(domain, "--action", "require", *level, *names)
    expected = f"secure match={names[0]} servername=hostname" if names else "encrypt"
    assert excepting.becomes(domain, expected)
    assert outcome in excepting.postfix.send(f"someone@{domain}")


def test_a_pin_holds_while_the_domain_publishes_another(
    rig: Rig, excepting: Excepting, tmp_path: Path
) -> None:
    domain = rig.domain("pin.test", policy("mx.elsewhere.test"))
    text = tmp_path / "policy"
    text.write_text(policy("mx.pin.test"))
    excepting.add(domain, "--action", "pin", "--policy", str(text))
    assert excepting.becomes(domain, "secure match=mx.pin.test servername=hostname")
    assert excepting.asked(domain, "postfix-tlsrpt") == (
        "secure match=mx.pin.test servername=hostname policy_type=sts policy_domain=pin.test"
        " mx_host_pattern=mx.pin.test"
    )
    assert "status=sent" in excepting.postfix.send(f"someone@{domain}")


def test_a_testing_policy_is_enforced(rig: Rig, excepting: Excepting) -> None:
    published = policy("mx.testing-on.test", mode="testing")
    domain = rig.domain("testing-on.test", published, certificate=Certificate.SELF_SIGNED)
    assert "status=sent" in excepting.postfix.send(f"first@{domain}")
    excepting.add(domain, "--action", "enforce")
    assert excepting.becomes(domain, "secure match=mx.testing-on.test servername=hostname")
    assert "dsn=4.7.5" in excepting.postfix.send(f"second@{domain}")


def test_a_pause_lets_all_mail_go(rig: Rig, excepting: Excepting) -> None:
    domain = rig.domain("pause.test", policy("mx.pause.test"), certificate=Certificate.WRONG_NAME)
    assert "dsn=4.7.5" in excepting.postfix.send(f"first@{domain}")
    excepting.add("--everything", "--hours", "1")
    assert excepting.becomes(domain, "")
    assert "status=sent" in excepting.postfix.send(f"second@{domain}")
    excepting.command("remove", "--everything")
