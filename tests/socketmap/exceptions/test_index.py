"""Which exception counts: the most specific one."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.socketmap.exceptions import Rule, Rules, Scope
from policies.socketmap.exceptions.checking import check
from tests.socketmap.exceptions.making import by_mx, everything, rule, suffix
from tests.worlds import NOON

OURS = rule(target="a.b.example")
NEAR, FAR = suffix(".b.example"), suffix(".example")
HOST, STAR, WIDE = by_mx("mx1.mail.test"), by_mx("*.mail.test"), by_mx("*.test")
PAUSE = everything()


@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        ([PAUSE, STAR, FAR, NEAR, OURS], OURS),
        ([PAUSE, STAR, FAR, NEAR], NEAR),
        ([PAUSE, STAR, FAR], FAR),
        ([PAUSE, WIDE, STAR, HOST], HOST),
        ([PAUSE, WIDE, STAR], STAR),
        ([PAUSE, WIDE], WIDE),
        ([PAUSE], PAUSE),
        ([], None),
    ],
)
def test_the_most_specific_counts(rules: list[Rule], counts: Rule | None) -> None:
    assert Rules(rules).find("a.b.example", ["mx1.mail.test"], NOON) == counts


@pytest.mark.parametrize("name", ["b.example", "xb.example", "b.example.org"])
def test_a_suffix_is_of_names_below_it_alone(name: str) -> None:
    assert Rules([NEAR]).find(name, [], NOON) is None


def test_a_suffix_is_of_all_names_below_it() -> None:
    assert Rules([NEAR]).find("x.y.z.b.example", [], NOON) == NEAR


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*.mail.test", True),
        ("mx1.mail.test", True),
        ("a.b.mail.test", True),
        ("*.eu.mail.test", True),
        ("mail.test", False),
        ("xmail.test", False),
        ("mail.test.example", False),
    ],
)
def test_a_star_is_for_all_patterns_under_it(pattern: str, fits: bool) -> None:
    assert bool(Rules([STAR]).find("a.example", ["other.example", pattern], NOON)) is fits


def test_internationalised_names_are_found_by_their_a_labels() -> None:
    rules = Rules([check(rule(target="bücher.example")), check(suffix(".bücher.example"))])
    assert rules.find("xn--bcher-kva.example", [], NOON)
    assert rules.find("a.xn--bcher-kva.example", [], NOON)


def test_it_counts_from_its_beginning_up_to_its_end() -> None:
    rules = Rules([OURS])
    assert OURS.until
    second = timedelta(seconds=1)
    times = [NOON - second, NOON, OURS.until - second, OURS.until]
    found = [rules.find("a.b.example", [], now) is not None for now in times]
    assert found == [False, True, True, False]
    assert rules.flipped(NOON - second, NOON) == [OURS]
    assert rules.flipped(NOON, OURS.until - second) == []
    assert rules.flipped(NOON, OURS.until) == [OURS]


def test_one_that_does_not_count_yet_leaves_its_place_to_the_next() -> None:
    coming = rule(target="a.b.example", since=NOON + timedelta(hours=1))
    assert Rules([coming, NEAR]).find("a.b.example", [], NOON) == NEAR


labels = st.sampled_from(["a", "b", "c"])
names = st.lists(labels, min_size=1, max_size=4).map(".".join).map("{}.test".format)
spans = st.tuples(st.integers(-2, 2), st.integers(1, 4))


def _lasting(made: Rule, span: tuple[int, int]) -> Rule:
    begin = NOON + timedelta(hours=span[0])
    return rule(
        made.action, made.target, made.scope, since=begin, until=begin + timedelta(hours=span[1])
    )


rules_ = st.one_of(
    names.map(lambda name: rule(target=name)),
    names.map(lambda name: suffix(f".{name}")),
    names.map(by_mx),
    names.map(lambda name: by_mx(f"*.{name}")),
    st.just(everything()),
).flatmap(lambda made: spans.map(lambda span: _lasting(made, span)))

ORDER = list(Scope)


def _fits(each: Rule, name: str, mx: list[str]) -> bool:
    """The same, reckoned from the words of the documentation."""
    match each.scope:
        case Scope.DOMAIN:
            return name == each.target
        case Scope.SUFFIX:
            return name.endswith(each.target)
        case Scope.MX if each.target.startswith("*."):
            return any(pattern.endswith(each.target[1:]) for pattern in mx)
        case Scope.MX:
            return each.target in mx
    return True


@settings(max_examples=300, deadline=None)
@given(
    st.lists(rules_, max_size=8),
    names,
    st.lists(names | names.map("*.{}".format), max_size=3),
)
def test_the_one_found_fits_and_nothing_that_fits_is_more_specific(
    made: list[Rule], name: str, mx: list[str]
) -> None:
    fitting = [each for each in made if each.is_active(NOON) and _fits(each, name, mx)]
    found = Rules(made).find(name, mx, NOON)
    if not fitting:
        assert found is None
        return
    assert found in fitting
    rank = [(ORDER.index(each.scope), -len(each.target.removeprefix("*."))) for each in fitting]
    assert (ORDER.index(found.scope), -len(found.target.removeprefix("*."))) == min(rank)
    assert set(Rules(made).matching(name, mx, NOON)) == set(fitting)
