"""The glossary knows the words that the pages use."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from policies import glossary
from policies.models import Fetch, Job, PolicyRecord
from policies.tlsrpt.result import PolicyType, ResultType
from tests.pages.conftest import As

TERMS = [term for group in glossary.GROUPS for term in group.terms]

SHOWN = [
    *PolicyRecord.Mode.labels, *Fetch.State.labels, *Fetch.Outcome.labels, *Job.State.labels,
    *PolicyType, *ResultType, "backing off", "edited", "expired",
    "suspected", "confirmed",
]  # fmt: skip


@pytest.mark.parametrize("word", sorted(set(SHOWN)))
def test_each_word_of_a_badge_is_explained(word: str) -> None:
    assert word in [term.word for term in TERMS]


def test_no_word_is_explained_twice() -> None:
    for key in ("word", "anchor"):
        counted = Counter(getattr(term, key) for term in TERMS)
        assert [each for each, number in counted.items() if number > 1] == []


@pytest.mark.django_db
def test_the_page_has_all_of_them_and_can_be_pointed_into(as_: As) -> None:
    html = as_("nobody").get("/glossary/").content.decode()
    anchors = re.findall(r'<dt id="([^"]*)"', html)
    assert anchors == [term.anchor for term in TERMS]
    assert all(anchors)
    assert "<kbd>j</kbd>" in html
