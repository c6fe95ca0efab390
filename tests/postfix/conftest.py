"""One laboratory with mail hosts, one product and one Postfix for most of the tests here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postfix.rig import Rig
    from tests.postfix.system import Postfix


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    pytest.importorskip("cryptography", reason="pip install -r requirements-dev.txt")
    from tests.lab.lab import Lab
    from tests.postfix.rig import Rig

    with Lab(addresses=2) as lab, contextlib.ExitStack() as contexts:
        yield Rig(lab, tmp_path_factory.mktemp("rig"), contexts)


@pytest.fixture(scope="session")
def product(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `manage.py socketmap` answers, as "inet:address:port"."""
    from tests.postfix.product import migrated, socketmap

    environment = migrated(tmp_path_factory.mktemp("product")) | rig.lab.settings()
    with socketmap(environment) as address:
        yield address


@pytest.fixture(scope="session")
def postfix(rig: Rig, product: str) -> Iterator[Postfix]:
    """This machine's Postfix, which asks the product as docs/postfix.md says."""
    parameters = {
        "smtp_tls_security_level": "may",
        "smtp_tls_policy_maps": f"socketmap:{product}:postfix",
    }
    with rig.postfix(parameters) as postfix:
        yield postfix
