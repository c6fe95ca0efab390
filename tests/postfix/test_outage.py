"""What becomes of mail while the product does not answer (docs/postfix.md)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.docs.shown import shown
from tests.postfix.needs import POSTFIX
from tests.postfix.product import free_port, migrated, socketmap
from tests.postfix.system import INSIDE

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


def test_it_goes_once_the_product_is_back_and_the_queue_is_hurried_on(
    rig: Rig, tmp_path: Path
) -> None:
    (line,) = (each.text for each in shown() if each.text.startswith("postqueue"))
    domain, port = rig.domain("hurried.test", None), free_port()
    parameters = {
        "smtp_tls_security_level": "may",
        "smtp_tls_policy_maps": f"socketmap:inet:127.0.0.1:{port}:postfix",
    }
    environment = migrated(tmp_path) | rig.lab.settings()
    with rig.postfix(parameters) as postfix:
        assert "status=deferred" in postfix.send(f"someone@{domain}")
        with socketmap(environment, port):
            program, *words = line.split()
            done = postfix.run(program, "-c", f"{INSIDE}/etc", *words)
            assert done.returncode == 0, done.stderr
            postfix.log.wait_for(f"to=<someone@{domain}>,.* status=sent", timeout=60)
