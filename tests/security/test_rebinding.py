"""The addresses that were judged are those that are dialled; DNS is not asked a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from policies.mtasts import dial
from policies.mtasts.errors import FetchError
from tests.lab import answers
from tests.mtasts.fetching import DOMAIN, NAME, POLICY, fetcher_of

if TYPE_CHECKING:
    from tests.lab.lab import Lab

HOST = f"mta-sts.{NAME}"


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where a connection was tried to; none is made."""
    tried: list[str] = []

    def connect(address: str, *_: object) -> object:
        tried.append(address)
        raise ConnectionRefusedError(address)

    monkeypatch.setattr(dial, "_connect", connect)
    return tried


def test_a_name_that_moves_inside_after_it_was_judged_is_not_followed(
    lab: Lab, dialled: list[str]
) -> None:
    lab.domain(NAME, POLICY)
    lab.zone[HOST, "AAAA"] = answers.Absent()
    lab.zone[HOST, "A"] = answers.InTurn(
        answers.Records("8.8.8.8", ttl=0), answers.Records("127.0.0.1", ttl=0)
    )
    with pytest.raises(FetchError, match=r"8\.8\.8\.8"):
        fetcher_of(lab, allow_private=False).fetch(DOMAIN)
    assert dialled == ["8.8.8.8"]
    assert lab.queries.count(HOST, "A") == 1


def test_of_several_addresses_only_the_public_are_dialled(lab: Lab, dialled: list[str]) -> None:
    lab.domain(NAME, POLICY)
    lab.zone[HOST, "AAAA"] = answers.Records("::ffff:127.0.0.1", "64:ff9b::7f00:1")
    lab.zone[HOST, "A"] = answers.Records("127.0.0.1", "8.8.4.4", "169.254.169.254")
    with pytest.raises(FetchError):
        fetcher_of(lab, allow_private=False).fetch(DOMAIN)
    assert dialled == ["8.8.4.4"]
