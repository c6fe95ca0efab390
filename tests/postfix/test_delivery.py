"""Mail on its way: what Postfix makes of the product's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.lab.certificate import Certificate
from tests.postfix.needs import POSTFIX
from tests.postfix.rig import policy

if TYPE_CHECKING:
    from tests.postfix.rig import Rig
    from tests.postfix.system import Postfix

pytestmark = POSTFIX


def test_a_good_certificate_is_verified(rig: Rig, postfix: Postfix) -> None:
    domain = rig.domain("good.test", policy("mx.good.test"))
    assert "status=sent" in postfix.send(f"someone@{domain}")
    assert postfix.log.matching(r"Verified TLS connection established to mx\.good\.test")


def test_a_wildcard_in_the_policy_is_verified(rig: Rig, postfix: Postfix) -> None:
    domain = rig.domain("star.test", policy("*.star.test"))
    assert "status=sent" in postfix.send(f"someone@{domain}")
    assert postfix.log.matching(r"Verified TLS connection established to mx\.star\.test")


@pytest.mark.parametrize(
    "certificate",
    [Certificate.WRONG_NAME, Certificate.SELF_SIGNED, Certificate.EXPIRED, Certificate.UNKNOWN_CA],
)
def test_a_wrong_certificate_defers_the_mail(
    certificate: Certificate, rig: Rig, postfix: Postfix
) -> None:
    name = f"{certificate.name.lower().replace('_', '-')}.test"
    domain = rig.domain(name, policy(f"mx.{name}"), certificate=certificate)
    outcome = postfix.send(f"someone@{domain}")
    assert "status=deferred" in outcome
    assert "dsn=4.7.5" in outcome


def test_an_mx_outside_the_policy_defers_the_mail(rig: Rig, postfix: Postfix) -> None:
    domain = rig.domain("outside.test", policy("mx.elsewhere.test"))
    outcome = postfix.send(f"someone@{domain}")
    assert "status=deferred" in outcome
    assert "dsn=4.7.5" in outcome


@pytest.mark.parametrize(
    ("name", "mode"), [("no-policy.test", None), ("testing.test", "testing"), ("off.test", "none")]
)
def test_without_an_enforce_policy_the_mail_goes_out(
    name: str, mode: str | None, rig: Rig, postfix: Postfix
) -> None:
    published = policy("mx.elsewhere.test", mode=mode) if mode else None
    domain = rig.domain(name, published, certificate=Certificate.SELF_SIGNED)
    assert "status=sent" in postfix.send(f"someone@{domain}")
