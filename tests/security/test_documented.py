"""Every line of the threat model names a test that there is."""

from __future__ import annotations

import pytest

from tests.security.documented import Line, exists, lines

WHO = {
    "Who controls DNS answers",
    "Who controls a policy host or the way to it",
    "Who writes a policy",
    "Who reaches the socketmap's port",
    "Who reaches the web",
    "Who has somebody's session",
    "Other users of the machine",
    "Who reads logs, backups and error messages",
}


@pytest.mark.parametrize("line", list(lines()), ids=lambda line: line.tries[:50])
def test_each_line_has_tests_that_there_are(line: Line) -> None:
    assert line.tests, "name the test"
    assert [test for test in line.tests if not exists(test)] == []


def test_everybody_who_may_attack_is_thought_of() -> None:
    assert {line.who for line in lines()} == WHO


def test_a_name_that_no_test_has_is_noticed() -> None:
    assert not exists(("tests/security/test_documented.py", "", "test_that_there_is_not"))
    assert not exists(("tests/no_such_file.py", "", "test_each_line_has_tests_that_there_are"))
