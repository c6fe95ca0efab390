"""Postfix 3.10 and later, which knows TLSRPT: the map `postfix-tlsrpt`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.needs import needs_program
from tests.postfix.needs import POSTFIX
from tests.postfix.rig import policy
from tests.postfix.trixie import trixie

if TYPE_CHECKING:
    from tests.postfix.rig import Rig
    from tests.postfix.system import Postfix

pytestmark = [*POSTFIX, pytest.mark.slow, needs_program("debootstrap", apt="debootstrap")]


@pytest.fixture(scope="module")
def newer(rig: Rig, product: str) -> Iterator[Postfix]:
    parameters = {
        "smtp_tls_security_level": "may",
        "smtp_tls_policy_maps": f"socketmap:{product}:postfix-tlsrpt",
    }
    with rig.postfix(parameters, trixie()) as postfix:
        yield postfix


def test_it_is_new_enough(newer: Postfix) -> None:
    major, minor, patch = map(int, newer.version.split("."))
    assert (major, minor, patch) >= (3, 10, 5)


def test_the_attributes_are_accepted_and_the_certificate_is_verified(
    rig: Rig, newer: Postfix
) -> None:
    domain = rig.domain("new.test", policy("mx.new.test", "*.new.test"))
    assert "status=sent" in newer.send(f"someone@{domain}")
    assert newer.log.matching(r"Verified TLS connection established to mx\.new\.test")


def test_an_mx_one_label_below_a_wildcard_is_accepted(rig: Rig, newer: Postfix) -> None:
    domain = rig.domain("one.test", policy("*.one.test"), mx="mx.one.test")
    assert "status=sent" in newer.send(f"someone@{domain}")


def test_an_mx_two_labels_below_a_wildcard_is_refused(rig: Rig, newer: Postfix) -> None:
    domain = rig.domain("two.test", policy("*.two.test"), mx="a.mx.two.test")
    assert "status=deferred" in newer.send(f"someone@{domain}")
    assert newer.log.matching("'a.mx.two.test' does not match STS MX pattern for 'two.test'")


def test_an_mx_outside_the_policy_is_refused_whatever_its_certificate(
    rig: Rig, newer: Postfix
) -> None:
    domain = rig.domain(
        "strange.test",
        policy("mx.strange.test"),
        mx="mx.stranger.test",
        certificate_for="mx.strange.test",
    )
    assert "status=deferred" in newer.send(f"someone@{domain}")
    assert newer.log.matching("'mx.stranger.test' does not match STS MX pattern")


def test_the_map_without_attributes_accepts_what_the_other_refuses(rig: Rig, product: str) -> None:
    """Why docs/postfix.md recommends the other one."""
    parameters = {
        "smtp_tls_security_level": "may",
        "smtp_tls_policy_maps": f"socketmap:{product}:postfix",
    }
    domain = rig.domain("deep.test", policy("*.deep.test"), mx="a.mx.deep.test")
    with rig.postfix(parameters, trixie()) as postfix:
        assert "status=sent" in postfix.send(f"someone@{domain}")


def test_an_older_postfix_refuses_the_attributes(rig: Rig, product: str) -> None:
    """Why there are two maps."""
    parameters = {
        "smtp_tls_security_level": "may",
        "smtp_tls_policy_maps": f"socketmap:{product}:postfix-tlsrpt",
    }
    domain = rig.domain("old.test", policy("mx.old.test"))
    with rig.postfix(parameters) as postfix:
        if tuple(map(int, postfix.version.split(".")[:2])) >= (3, 10):
            pytest.skip("this machine's Postfix is not older: run it on Debian 12")
        outcome = postfix.send(f"someone@{domain}")
        assert "status=deferred" in outcome
        assert postfix.log.matching('invalid attribute name: "policy_type"')
