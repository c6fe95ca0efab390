"""Domains with DANE and MTA-STS both: whose check counts (RFC 8461 section 2).

The mail host shows a certificate that its TLSA record vouches for, and no authority does. So mail
that arrives was checked by DANE, and mail that the policy is applied to waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.lab.lab import Lab
from tests.postfix.dane import DaneRig
from tests.postfix.needs import POSTFIX
from tests.postfix.product import migrated, socketmap

if TYPE_CHECKING:
    from tests.postfix.system import Postfix

pytestmark = POSTFIX

VERIFIED = r"Verified TLS connection established to mx\.dane\.test"


@pytest.fixture(scope="module")
def dane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaneRig]:
    with Lab() as lab, contextlib.ExitStack() as contexts:
        yield DaneRig(lab, tmp_path_factory.mktemp("dane"), contexts)


@pytest.fixture(scope="module")
def postfix_with(
    dane: DaneRig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Postfix]]:
    """A Postfix with level "dane" that asks a product with this SOCKETMAP_DANE."""
    environment = migrated(tmp_path_factory.mktemp("product")) | dane.settings()
    with contextlib.ExitStack() as contexts:

        @cache
        def start(setting: str) -> Postfix:
            product = contexts.enter_context(socketmap(environment | {"SOCKETMAP_DANE": setting}))
            parameters = {
                "smtp_dns_support_level": "dnssec",
                "smtp_tls_security_level": "dane",
                "smtp_tls_policy_maps": f"socketmap:{product}:postfix",
            }
            return contexts.enter_context(dane.rig.postfix(parameters))

        yield start


@pytest.mark.parametrize("setting", ["notfound", "dane-only"])
def test_dane_decides_where_it_is_proven(
    setting: str, postfix_with: Callable[[str], Postfix]
) -> None:
    postfix = postfix_with(setting)
    assert "status=sent" in postfix.send("someone@dane.test")
    assert postfix.log.matching(VERIFIED)


def test_without_the_check_the_policy_would_decide(
    postfix_with: Callable[[str], Postfix],
) -> None:
    postfix = postfix_with("off")
    outcome = postfix.send("someone@dane.test")
    assert "status=deferred" in outcome
    assert "dsn=4.7.5" in outcome


def test_a_tlsa_record_that_fails_its_proof_lets_no_mail_through(
    postfix_with: Callable[[str], Postfix],
) -> None:
    postfix = postfix_with("notfound")
    assert "status=deferred" in postfix.send("someone@forged.test")
