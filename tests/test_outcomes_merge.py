"""How results become rows before they are written: nothing is lost, however they are grouped."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import given
from hypothesis import strategies as st

from policies.outcomes import Seen, Source
from policies.outcomes.batch import Kind, Rows, merge
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy
from tests.worlds import NOON

few = st.sampled_from
failures = st.builds(
    FailureDetails,
    few(["sts-webpki-invalid", "sts-policy-invalid"]),
    few(["a", "b", "a+fallback-to-cached-policy"]),
    st.integers(1, 3),
)
results = st.builds(
    Result,
    st.builds(ResultPolicy, few(list(PolicyType)), few(["a.example", "b.example", "no name"])),
    st.lists(failures, max_size=2).map(tuple),
)
seen = st.lists(
    st.builds(
        Seen,
        results,
        st.integers(-90, 90).map(lambda hours: NOON + timedelta(hours=hours)),
        st.integers(1, 1000),
        source=few(list(Source)),
        resolver=st.booleans(),
    ),
    max_size=20,
)


def joined(first: Rows, second: Rows) -> Rows:
    for key, row in second.items():
        if key in first:
            first[key].absorb(row)
        else:
            first[key] = row
    return first


@given(seen)
def test_every_lookup_is_counted_once(some: list[Seen]) -> None:
    rows = merge(some)
    assert sum(row.count for row in rows.values()) == sum(one.count for one in some)
    assert all(0 <= row.fallbacks <= row.failed <= row.count for row in rows.values())
    failed = sum(one.count for one in some if one.result.failures and not one.resolver)
    assert sum(row.failed for row in rows.values()) == failed


@given(seen)
def test_each_counts_for_its_own_day(some: list[Seen]) -> None:
    for key, row in merge(some).items():
        assert key.day == row.first.date() == row.last.date()


@given(seen, st.integers(0, 20))
def test_in_parts_or_at_once_comes_to_the_same(some: list[Seen], at: int) -> None:
    assert joined(merge(some[:at]), merge(some[at:])) == merge(some)


@given(seen)
def test_only_rows_of_domains_have_one(some: list[Seen]) -> None:
    for key in merge(some):
        assert bool(key.domain) is (key.kind is Kind.DOMAIN)
