"""The refresh's threads: parked turns hold none, nothing that breaks goes unheard."""

from __future__ import annotations

import threading

import pytest

from policies import crew
from policies.crew import Crew, GivenBack, NoPlace
from policies.politeness import Places


def work_all(team: Crew[int, int]) -> list[int | GivenBack[int]]:
    done: list[int | GivenBack[int]] = []
    while team.busy:
        done += team.results(0.05)
    return done


def test_results_come_back() -> None:
    team: Crew[int, int] = Crew(lambda turn: turn * turn, 4, late=lambda _: None)
    team.take(list(range(10)))
    assert sorted(work_all(team)) == [n * n for n in range(10)]
    assert team.leave() == ([], [])


def test_what_breaks_a_thread_is_raised_where_the_round_hears_it() -> None:
    def work(turn: int) -> int:
        raise SystemExit(turn)

    team: Crew[int, int] = Crew(work, 2, late=lambda _: None)
    team.take([7])
    with pytest.raises(SystemExit, match="7"):
        work_all(team)


def test_a_turn_without_a_place_holds_no_thread_and_gets_one_later() -> None:
    places = Places(1)
    tried: list[int] = []
    taken = places.slot("192.0.2.1", 1)

    def work(turn: int) -> int:
        tried.append(turn)
        if turn == 0 and tried.count(0) == 1:
            raise NoPlace("192.0.2.1")
        return turn

    team: Crew[int, int] = Crew(work, 1, places=places, late=lambda _: None)
    with taken:
        team.take([0])
        while not team.parked:
            assert not list(team.results(0.05))
        team.take([1])
        while team.busy > team.parked:
            assert list(team.results(0.05)) in ([], [1])
        assert team.free == 1
    assert work_all(team) == [0]
    assert tried == [0, 1, 0]


def test_too_many_for_one_address_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "PARKED_AT_ONE_ADDRESS", 3)

    def work(turn: int) -> int:
        raise NoPlace("192.0.2.1")

    places = Places(0)
    team: Crew[int, int] = Crew(work, 1, places=places, late=lambda _: None)
    team.take(list(range(5)))
    given: list[int | GivenBack[int]] = []
    while team.busy > team.parked:
        given += team.results(0.05)
    assert len(given) == 2
    assert all(isinstance(each, GivenBack) for each in given)
    assert len(team.leave()[1]) == 3


def test_a_result_after_the_end_goes_to_late() -> None:
    let_go, said = threading.Event(), threading.Event()
    late: list[int] = []

    def work(turn: int) -> int:
        let_go.wait(5)
        return turn

    def save(result: int) -> None:
        late.append(result)
        said.set()

    team: Crew[int, int] = Crew(work, 1, late=save)
    team.take([1, 2])
    while team._turns.qsize() > 1:
        pass
    ended, over = team.leave()
    assert (ended, over) == ([], [2])
    let_go.set()
    assert said.wait(5)
    assert late == [1]


class TestPlaces:
    def test_are_counted_by_address(self) -> None:
        places = Places(2)
        with places.slot("192.0.2.1", 1), places.slot("192.0.2.1", 1):
            assert places.left("192.0.2.1") == 0
            assert places.left("192.0.2.2") == 2
            with pytest.raises(TimeoutError, match=r"192\.0\.2\.1"), places.slot("192.0.2.1", 1):
                pass
            assert places.refused == "192.0.2.1"
        assert places.left("192.0.2.1") == 2

    def test_are_taken_from_a_host_that_is_slow(self) -> None:
        now = [0.0]
        places = Places(1, hold=10, clock=lambda: now[0])
        with places.slot("192.0.2.1", 1):
            now[0] = 9.9
            assert places.left("192.0.2.1") == 0
            now[0] = 10.1
            with places.slot("192.0.2.1", 1):
                assert places.left("192.0.2.1") == 0
        assert places.left("192.0.2.1") == 1

    def test_come_free_when_the_connection_breaks(self) -> None:
        places = Places(1)
        with pytest.raises(OSError, match="reset"), places.slot("192.0.2.1", 1):
            raise OSError("reset")
        assert places.left("192.0.2.1") == 1
