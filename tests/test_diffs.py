"""What changed between two texts."""

from __future__ import annotations

from policies.diffs import Kind, Line, diff

BEFORE = "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 86400\n"
AFTER = "version: STSv1\r\nmode: enforce\r\nmx: a.example\r\nmx: b.example\r\nmax_age: 86400\r\n"


def test_lines_are_the_same_added_or_removed_whatever_ends_them() -> None:
    assert diff(BEFORE, AFTER) == [
        Line(Kind.SAME, "version: STSv1"),
        Line(Kind.REMOVED, "mode: testing"),
        Line(Kind.ADDED, "mode: enforce"),
        Line(Kind.SAME, "mx: a.example"),
        Line(Kind.ADDED, "mx: b.example"),
        Line(Kind.SAME, "max_age: 86400"),
    ]


def test_hostile_texts_are_not_compared_but_shown_one_after_the_other() -> None:
    lines = diff("a\n" * 10_000, "b\na\n" * 10_000)
    assert [line.kind for line in lines] == [Kind.REMOVED] * 10_000 + [Kind.ADDED] * 20_000
