"""Turns: one at a time computes, and nobody is locked out by it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from policies.mtasts import turns
from policies.mtasts.turns import taking_turns, waiting


def test_one_at_a_time_computes() -> None:
    inside = most = 0

    def compute(_: int) -> None:
        nonlocal inside, most
        for _round in range(50):
            with taking_turns():
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compute, range(8)))
    assert most == 1


def test_who_waits_lets_others_compute() -> None:
    may_end = threading.Event()

    def compute() -> None:
        with taking_turns():
            may_end.set()

    with taking_turns():
        other = threading.Thread(target=compute)
        other.start()
        with waiting():
            assert may_end.wait(5)
        other.join()


def test_a_wait_within_a_wait_gives_nothing_back_twice() -> None:
    with taking_turns(), waiting():
        with waiting():
            pass
        assert not turns._turn.locked()
    assert not turns._turn.locked()


def test_who_takes_no_part_waits_as_ever() -> None:
    with taking_turns():
        result = []
        thread = threading.Thread(target=lambda: result.append(_wait_outside()))
        thread.start()
        thread.join(5)
    assert result == [True]


def _wait_outside() -> bool:
    with waiting():
        return True


def test_nobody_waits_for_a_turn_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    has_ended = threading.Event()

    def compute() -> None:
        with taking_turns(), waiting():
            pass
        has_ended.set()

    with taking_turns():
        threading.Thread(target=compute).start()
        assert has_ended.wait(5)
    assert not turns._turn.locked()


def test_an_error_gives_the_turn_back() -> None:
    with pytest.raises(ZeroDivisionError), taking_turns():
        1 / 0  # noqa: B018
    assert not turns._turn.locked()
