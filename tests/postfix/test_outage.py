"""What becomes of mail while the product does not answer (docs/postfix.md)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.postfix.needs import POSTFIX

if TYPE_CHECKING:
    from tests.postfix.rig import Rig
    from tests.postfix.system import Postfix

pytestmark = POSTFIX


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens; nobody else gets it meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"inet:127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def alone(rig: Rig, nobody: str) -> Iterator[Postfix]:
    """A Postfix whose policy server is down."""
    parameters = {
        "smtp_tls_security_level": "may",
        "smtp_tls_policy_maps": f"socketmap:{nobody}:postfix",
    }
    with rig.postfix(parameters) as postfix:
        yield postfix


def test_all_mail_waits_even_to_domains_without_policy(rig: Rig, alone: Postfix) -> None:
    domain = rig.domain("waiting.test", None)
    outcome = alone.send(f"someone@{domain}")
    assert "status=deferred" in outcome
    assert "dsn=4.7.5" in outcome
