"""How long to wait before a restart."""

from __future__ import annotations

from policies.supervisor.backoff import Backoff


def test_the_wait_doubles_up_to_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.delay(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_run_of_a_minute_begins_anew() -> None:
    backoff = Backoff()
    waits = [backoff.delay(stayed_up) for stayed_up in (0, 0, 59.9, 60, 0)]
    assert waits == [1, 2, 4, 1, 2]
