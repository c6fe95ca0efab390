"""What was planned by a clock that was ahead does not wait until the right one has caught up."""

from __future__ import annotations

import multiprocessing
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from policies import queue

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def broker() -> queue.Broker:
    return queue.Broker(list_key="mtastsweb")


def plan_tick(ahead: timedelta) -> None:
    Schedule.objects.filter(func=queue.TICK).update(next_run=timezone.now() + ahead)


def is_tick_near() -> bool:
    planned = queue.next_run(queue.TICK)
    assert planned is not None
    return planned <= timezone.now() + queue.AHEAD


def test_the_tick_is_planned_anew() -> None:
    plan_tick(HOUR)
    queue.plan_anew(timezone.now())
    assert is_tick_near()


def test_a_tick_that_is_planned_as_it_should_be_stays_so() -> None:
    plan_tick(timedelta(minutes=1))
    before = queue.next_run(queue.TICK)
    queue.plan_anew(timezone.now())
    assert queue.next_run(queue.TICK) == before


def test_a_task_that_waits_is_taken() -> None:
    queue.put_tick()
    OrmQ.objects.update(lock=timezone.now() + HOUR)
    queue.plan_anew(timezone.now())
    assert len(broker().dequeue()) == 1


def test_a_task_that_was_taken_is_not_taken_again_before_its_time() -> None:
    queue.put_tick()
    [_] = broker().dequeue()
    retry = OrmQ.objects.get().lock
    OrmQ.objects.update(lock=retry + HOUR)
    queue.plan_anew(timezone.now())
    assert timedelta() <= OrmQ.objects.get().lock - retry < timedelta(minutes=1)
    assert broker().dequeue() == []


def test_who_brings_tasks_to_the_workers_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    brings = broker()
    brings.dequeue()
    plan_tick(HOUR)
    brings.dequeue()
    assert not is_tick_near()  # nothing happened to the clock
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - HOUR.total_seconds())
    brings.dequeue()
    assert is_tick_near()


def test_a_start_notices_what_happened_before_it() -> None:
    plan_tick(HOUR)
    broker().dequeue()
    assert is_tick_near()


def test_who_guards_the_workers_sees_that_it_is_to_stop() -> None:
    event = multiprocessing.Event()
    patient = queue.Patient(event)
    assert not patient.wait(0.01)
    event.set()
    assert patient.wait(60)
