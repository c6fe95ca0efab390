"""Resolvers and policy hosts that are dead, slow or lie: what is cached stays, and gets better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.faults import whole
from tests.faults.conftest import OLD_REPLY, MakeProduct, is_idle, refreshed
from tests.faults.lookups import Lookups
from tests.faults.product import Product
from tests.needs import needs_root
from tests.socketmap.server.running import wait_until

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

if TYPE_CHECKING:
    from types import ModuleType

    from tests.lab.answers import Answer
    from tests.lab.lab import Lab, Served
    from tests.lab.replies import Behaviour


QUICK = {"REFRESH_RATE": "400", "REFRESH_THREADS": "64"}
PATIENT = {"MTASTS_FETCH_TIMEOUT": "15"}
"""With hosts that are as slow as a busy machine makes them."""


def answers() -> ModuleType:
    """The ways to answer: imported late, for they need what `make test` installs."""
    from tests.lab import answers

    return answers


def _dead(name: str, good: Answer) -> Answer:
    return answers().Silence()


def _slow(name: str, good: Answer) -> Answer:
    return answers().Slow(2.5, good)


def _lying(name: str, good: Answer) -> Answer:
    """Each domain is lied about in a way of its own."""
    lies = answers()
    chosen: list[Answer] = [
        lies.WrongId(good),
        lies.Truncated(lies.Silence()),
        lies.Garbage(),
        lies.Fails("REFUSED"),
    ]
    if name.startswith("_mta-sts."):
        oversized = (f"{number} " + "x" * 200 for number in range(250))
        chosen += [lies.Records(*oversized), lies.Records("v=STSv1; id=forged;")]
    else:  # a refresh fetches whatever the record says
        chosen += [lies.NXDomain(), lies.Absent()]
    return chosen[sum(name.split(".", 1)[1].encode()) % len(chosen)]


@pytest.mark.parametrize(
    ("fault", "product"),
    [
        pytest.param(fault, vendor, marks=marks, id=f"{fault.__name__[1:]}, {vendor}")
        for fault in (_dead, _slow, _lying)
        for vendor, marks in (("sqlite", []), ("postgresql", [needs_root()]))
    ],
    indirect=["product"],
)
def test_the_resolver(
    fault: Callable[[str, Answer], Answer], served: Lab, product: Product, domains: list[str]
) -> None:
    product.environ |= QUICK | PATIENT
    good = served.dns_default
    assert good is not None

    def bad(name: str, type_: str) -> Answer | None:
        answer = good(name, type_)
        return fault(name, answer) if answer else None

    served.dns_default = bad
    with Lookups(product.port, domains) as lookups:
        product.start()
        wait_until(lambda: _tried(product) >= 100, 30)
        assert refreshed(product) == 0
        assert set(lookups.answers) <= {OLD_REPLY}
        served.dns_default = good
        _recovers(product, domains)
    whole.check(product, domains)
    whole.check_counts(product, lookups)


@pytest.mark.parametrize(
    "product", ["sqlite", pytest.param("postgresql", marks=needs_root())], indirect=True
)
def test_all_policy_hosts_hang(served: Lab, product: Product, domains: list[str]) -> None:
    from tests.lab.replies import Silence

    product.environ |= QUICK
    good = served.https_default
    assert good is not None
    served.https_default = lambda sni: _with(good(sni), Silence("accept"))
    with Lookups(product.port, domains) as lookups:
        product.start()
        wait_until(lambda: _tried(product) >= 100, 30)
        assert product.answers_web()
        assert refreshed(product) == 0
        assert set(lookups.answers) <= {OLD_REPLY}
        served.https_default = good
        _recovers(product, domains)
    whole.check(product, domains)
    whole.check_counts(product, lookups)


def test_operators_wait_for_no_refresh_of_hosts_that_hang(
    served: Lab, make_product: MakeProduct
) -> None:
    from tests.lab.replies import Silence

    product = make_product(
        MTASTS_FETCH_TIMEOUT="60", MTASTS_MAX_PER_ADDRESS="2", REFRESH_THREADS="16", WORKERS="2"
    )
    good, look = served.https_default, served.dns_default
    assert good is not None
    assert look is not None
    answering: set[str] = set()

    def serve(sni: str) -> Served | None:
        return good(sni) if sni in answering else _with(good(sni), Silence("accept"))

    def at_one_address(name: str, type_: str) -> Answer | None:
        answer = look(name, type_)
        return answers().Records(served.addresses[0]) if answer and type_ == "A" else answer

    served.https_default, served.dns_default = serve, at_one_address
    product.start()
    wait_until(lambda: len(_held_by_the_refresh(product)) >= 64, 30)
    for _ in range(3):
        product.tick()
    chosen = [_held_by_the_refresh(product)[-1], "d900.lab.test"]
    answering |= {f"mta-sts.{domain}" for domain in chosen}
    for domain in chosen:
        product.call(
            "from policies import tasks; from policies.mtasts import parse_domain;"
            f" tasks.request_refetch(parse_domain({domain!r}), None)"
        )
    # Hosts hang for a minute, and so would whoever waited for them.
    wait_until(lambda: len(_refetched(product)) == 2, 25)
    assert set(_refetched(product)) == {(each, "fetched") for each in chosen}
    assert len(_held_by_the_refresh(product)) >= 16


def _held_by_the_refresh(product: Product) -> list[str]:
    found = product.database.rows(
        "SELECT domain FROM policies_policyrecord WHERE claim LIKE '%:refresh' ORDER BY id"
    )
    return [domain for (domain,) in found]


def _refetched(product: Product) -> list[tuple[str, str]]:
    return product.database.rows(
        "SELECT domain, outcome FROM policies_fetch WHERE source = 'operator' AND state = 'done'"
    )


def _with(found: Served | None, behaviour: Behaviour) -> Served | None:
    return replace(found, behaviour=behaviour) if found else None


def _tried(product: Product) -> int:
    """How many policies a refresh has tried in vain."""
    return product.database.number("SELECT COUNT(*) FROM policies_policyrecord WHERE failures > 0")


def _recovers(product: Product, domains: list[str]) -> None:
    """All are refreshed when it is time to try again: as if the five minutes to that were over."""
    wait_until(lambda: is_idle(product), 30)
    product.database.rows("UPDATE policies_policyrecord SET refresh_due = NULL, retry_at = NULL")
    product.tick()
    wait_until(lambda: refreshed(product) == len(domains), 30)
    wait_until(lambda: is_idle(product), 30)
    assert product.stop() == 0
    assert not product.processes()
